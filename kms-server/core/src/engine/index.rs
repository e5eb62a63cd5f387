//! Record keys of names: keyed hashes, so that no name stands in the clear in the store. Each part is
//! length-prefixed: two scopes never hash the same bytes.

use crate::cipher::{HashKey, label};
use crate::key::record::RecordKey;
use crate::name::{DatasetName, OperatorName, PrincipalName, RequestId, ServiceName, ShredScope};
use crate::policy::Action;

fn len(part: &[u8]) -> [u8; 4] {
    u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes()
}

/// Where a scope's newest shred secret is named: HMAC over label, kind, account, name, class.
#[must_use]
pub fn shred_name_key(index: &HashKey, scope: &ShredScope) -> RecordKey {
    let account = scope.account.as_str().as_bytes();
    let (name, class) = (scope.name.as_bytes(), scope.class.as_str().as_bytes());
    RecordKey::shred_name(index.hash(&[
        label::INDEX_SHRED,
        &[scope.kind.number()],
        &len(account),
        account,
        &len(name),
        name,
        &len(class),
        class,
    ]))
}

/// Where a dataset's name is taken: HMAC over label and name.
#[must_use]
pub fn dataset_name_key(index: &HashKey, name: &DatasetName) -> RecordKey {
    let name = name.as_str().as_bytes();
    RecordKey::dataset_name(index.hash(&[label::INDEX_DATASET, &len(name), name]))
}

/// Where an operator is kept: HMAC over label and name.
#[must_use]
pub fn operator_key(index: &HashKey, name: &OperatorName) -> RecordKey {
    let name = name.as_str().as_bytes();
    RecordKey::operator(index.hash(&[label::OPERATOR_NAME, &len(name), name]))
}

/// Where an approver's keys are kept: HMAC over label and operator.
#[must_use]
pub fn approver_key(index: &HashKey, name: &OperatorName) -> RecordKey {
    let name = name.as_str().as_bytes();
    RecordKey::approver(index.hash(&[label::APPROVAL_APPROVER, &len(name), name]))
}

/// Where failed attempts on an account from one certificate are counted: HMAC over label, account, the
/// certificate's principal. What is no name at all shares one counter, that of the empty account.
#[must_use]
pub fn attempts_key(
    index: &HashKey,
    account: Option<&OperatorName>,
    certificate: &PrincipalName,
) -> RecordKey {
    let account = account.map_or(&b""[..], |name| name.as_str().as_bytes());
    let certificate = certificate.as_str().as_bytes();
    RecordKey::operator(index.hash(&[
        label::OPERATOR_ATTEMPTS,
        &len(account),
        account,
        &len(certificate),
        certificate,
    ]))
}

/// Where a service or desk is kept: HMAC over label and name.
#[must_use]
pub fn service_key(index: &HashKey, name: &ServiceName) -> RecordKey {
    let name = name.as_str().as_bytes();
    RecordKey::service(index.hash(&[label::SERVICE_NAME, &len(name), name]))
}

/// Where the mark of a receiver of the audit log lies.
#[must_use]
pub fn forward_key(index: &HashKey, name: &str) -> RecordKey {
    let name = name.as_bytes();
    RecordKey::forward(index.hash(&[label::FORWARD_NAME, &len(name), name]))
}

/// Where the outcome of a request id is kept: HMAC over label, action, principal, request id.
#[must_use]
pub fn request_key(
    index: &HashKey,
    principal: &PrincipalName,
    action: Action,
    request_id: RequestId,
) -> RecordKey {
    let name = principal.as_str().as_bytes();
    RecordKey::request(index.hash(&[
        label::INDEX_REQUEST,
        &action.number().to_be_bytes(),
        &len(name),
        name,
        &request_id.0,
    ]))
}

/// Fingerprint of the request behind a request id: HMAC over label, action and the message's bytes.
#[must_use]
pub fn request_fingerprint(index: &HashKey, action: Action, body: &[u8]) -> [u8; 32] {
    index.hash(&[label::REQUEST_BODY, &action.number().to_be_bytes(), body])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{AccountName, RetentionClass, SecretKind};

    fn scope(account: &str, name: &str) -> ShredScope {
        let class = RetentionClass::parse("customer").unwrap();
        let account = AccountName::parse(account).unwrap();
        ShredScope::new(SecretKind::Subject, account, name, class).unwrap()
    }

    #[test]
    fn neighbouring_parts_do_not_run_together() {
        let index = HashKey::new(&[3; 32]);
        let key = |a, n| shred_name_key(&index, &scope(a, n));
        assert_ne!(key("ab", "c"), key("a", "bc"));
        assert_eq!(key("ab", "c"), key("ab", "c"));
        assert_ne!(
            shred_name_key(&HashKey::new(&[4; 32]), &scope("ab", "c")),
            key("ab", "c")
        );
    }

    #[test]
    fn request_ids_belong_to_one_principal_and_action() {
        let index = HashKey::new(&[3; 32]);
        let id = RequestId([9; 16]);
        let (a, b) = (
            PrincipalName::parse("a").unwrap(),
            PrincipalName::parse("b").unwrap(),
        );
        let key = |who, action| request_key(&index, who, action, id);
        assert_ne!(
            key(&a, Action::CreateDataset),
            key(&b, Action::CreateDataset)
        );
        assert_ne!(
            key(&a, Action::CreateDataset),
            key(&a, Action::RotateDataset)
        );
    }
}
