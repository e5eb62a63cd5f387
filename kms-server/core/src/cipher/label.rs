//! The one table of labels: each use of a key has its own. None is a prefix of another, none stands twice.

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        $($(#[$doc])* pub const $name: &[u8] = $text.as_bytes();)+

        /// Every label, for the test and docs/formats.md.
        pub const ALL: &[(&str, &[u8])] = &[$((stringify!($name), $name)),+];
    };
}

labels! {
    /// Input key of wrapped data keys and direct ciphertexts; followed by blob kind and count of secrets.
    WRAP_KEY = "kms/v1/wrap/key;",
    /// Context of wrapped data keys and direct ciphertexts.
    WRAP_CONTEXT = "kms/v1/wrap/context;",
    /// Input key of a store tree; followed by the tree's number.
    STORE_KEY = "kms/v1/store/key;",
    /// Context of a store record.
    STORE_CONTEXT = "kms/v1/store/context;",
    /// Element of the root record's set hash.
    STORE_SET = "kms/v1/store/set;",
    /// Record key of a shred secret's scope.
    INDEX_SHRED = "kms/v1/index/shred;",
    /// Record key of a dataset's name.
    INDEX_DATASET = "kms/v1/index/dataset;",
    /// Record key of an idempotency record.
    INDEX_REQUEST = "kms/v1/index/request;",
    /// Fingerprint of the request behind a request id.
    REQUEST_BODY = "kms/v1/request/body;",
    /// A principal's id in the audit log.
    AUDIT_PRINCIPAL = "kms/v1/audit/principal;",
    /// A shred secret's hash in the audit log.
    AUDIT_SECRET = "kms/v1/audit/secret;",
    /// Key of an entry's personal group.
    AUDIT_PERSONAL_KEY = "kms/v1/audit/personal-key;",
    /// Context of an entry's personal group.
    AUDIT_PERSONAL = "kms/v1/audit/personal;",
    /// Personal groups written while sealed (HPKE info).
    AUDIT_INTAKE = "kms/v1/audit/intake;",
    /// A month's private key for groups written while sealed.
    AUDIT_INTAKE_KEY = "kms/v1/audit/intake-key;",
    /// What the instance key signs of the months' public keys.
    AUDIT_INTAKE_FILE = "kms/v1/audit/intake-file;",
    /// Hash over the details of a batch.
    AUDIT_DETAILS = "kms/v1/audit/details;",
    /// Key of a seal's private half, from Argon2id.
    SEAL_PRIVATE = "kms/v1/seal/private;",
    /// A master key version wrapped to a seal (HPKE info).
    SEAL_MASTER = "kms/v1/seal/master;",
    /// Id of the pre-shared key of a seal (HPKE).
    SEAL_PSK = "kms/v1/seal/psk;",
    /// Key of operators' names in introduction entries.
    AUDIT_DIRECTORY_KEY = "kms/v1/audit/directory-key;",
    /// An operator's name in an introduction entry.
    AUDIT_DIRECTORY = "kms/v1/audit/directory;",
    /// Record key of an operator's name.
    OPERATOR_NAME = "kms/v1/operator/name;",
    /// Record key of the counter of failed attempts on an account from one certificate.
    OPERATOR_ATTEMPTS = "kms/v1/operator/attempts;",
    /// An operator's recovery code, as it is stored.
    OPERATOR_RECOVERY = "kms/v1/operator/recovery;",
    /// A one-time enrolment token, as it is stored.
    OPERATOR_ENROLMENT = "kms/v1/operator/enrolment;",
    /// Begins the statement that approvers sign.
    APPROVAL_STATEMENT = "kms/v1/approval/statement;",
    /// Record key of an approver's keys.
    APPROVAL_APPROVER = "kms/v1/approval/approver;",
    /// What approvers see of the thing that a call would change.
    APPROVAL_TARGET = "kms/v1/approval/target;",
    /// Record key of the name of a service or desk.
    SERVICE_NAME = "kms/v1/service/name;",
    /// A one-time enrolment token of a service or desk, as it is stored.
    SERVICE_ENROLMENT = "kms/v1/service/enrolment;",
    /// Record key of the name of a receiver of the audit log.
    FORWARD_NAME = "kms/v1/forward/name;",
    /// Page tokens.
    PAGE_TOKEN = "kms/v1/page-token;",
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn labels_are_unique_and_prefix_free() {
        for (i, (name, label)) in ALL.iter().enumerate() {
            for (other_name, other) in ALL.iter().skip(i + 1) {
                assert!(
                    !label.starts_with(other),
                    "{other_name} is a prefix of {name}"
                );
                assert!(
                    !other.starts_with(label),
                    "{name} is a prefix of {other_name}"
                );
            }
        }
    }
}
