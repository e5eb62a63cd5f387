//! The statement of an approval (docs/formats.md): read, taken apart, made again from its parts. What cannot be made
//! again to the same bytes is not shown, and so not signed.

use super::request;
use crate::exit::Failure;
use ring::digest;

const LABEL: &[u8] = b"kms/v1/approval/statement;";
const FORMAT: u8 = 1;

/// Its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    pub id: [u8; 16],
    pub origin: String,
    pub instance: [u8; 32],
    pub action: String,
    pub method: String,
    request: Vec<u8>,
    pub etag: [u8; 32],
    pub requester: String,
    pub policy: u64,
    /// Microseconds since 1970.
    pub requested_at: i64,
    /// Microseconds since 1970.
    pub expires_at: i64,
}

/// What a person is shown, and the bytes that were made from just that.
#[derive(Debug)]
pub(crate) struct Understood {
    pub statement: Statement,
    /// The request, field by field.
    pub fields: Vec<(String, String)>,
    bytes: Vec<u8>,
}

struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn counted(&mut self) -> Option<&'a [u8]> {
        let len = u32::from_be_bytes(self.array()?);
        self.take(usize::try_from(len).ok()?)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.counted()?.to_vec()).ok()
    }
}

fn counted(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(bytes);
}

impl Statement {
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut parts = Parts(bytes);
        if parts.counted()? != LABEL || parts.array()? != [FORMAT] {
            return None;
        }
        let statement = Self {
            id: parts.array()?,
            origin: parts.text()?,
            instance: parts.array()?,
            action: parts.text()?,
            method: parts.text()?,
            request: parts.counted()?.to_vec(),
            etag: parts.array()?,
            requester: parts.text()?,
            policy: u64::from_be_bytes(parts.array()?),
            requested_at: i64::from_be_bytes(parts.array()?),
            expires_at: i64::from_be_bytes(parts.array()?),
        };
        parts.0.is_empty().then_some(statement)
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        counted(&mut out, LABEL);
        out.push(FORMAT);
        out.extend(self.id);
        counted(&mut out, self.origin.as_bytes());
        out.extend(self.instance);
        counted(&mut out, self.action.as_bytes());
        counted(&mut out, self.method.as_bytes());
        counted(&mut out, &self.request);
        out.extend(self.etag);
        counted(&mut out, self.requester.as_bytes());
        out.extend(self.policy.to_be_bytes());
        out.extend(self.requested_at.to_be_bytes());
        out.extend(self.expires_at.to_be_bytes());
        out
    }

    /// Takes the service's bytes apart and makes them again, the request by its own message.
    ///
    /// # Errors
    /// They are of no form that this version knows, or not what their parts make: nothing to be signed.
    pub(crate) fn understand(bytes: &[u8]) -> Result<Understood, Failure> {
        let unknown = || {
            Failure::failed("this approval cannot be shown whole, so it cannot be signed")
                .next("use a kms as new as the service, and ask who changed it on the way")
        };
        let mut statement = Self::decode(bytes).ok_or_else(unknown)?;
        let shown = request::shown(&statement.method, &statement.request).ok_or_else(unknown)?;
        statement.request = shown.encoded;
        let again = statement.encode();
        if again != bytes {
            return Err(unknown());
        }
        Ok(Understood {
            statement,
            fields: shown.fields,
            bytes: again,
        })
    }
}

impl Understood {
    /// SHA-256 of the bytes made here: what is signed.
    pub(crate) fn hash(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, &self.bytes).as_ref());
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::hex;
    use kms_client::proto::v1;
    use prost::Message as _;

    const DOCS: &str = include_str!("../../../../docs/formats.md");

    fn example() -> Statement {
        Statement {
            id: [0x11; 16],
            origin: "kms/1".into(),
            instance: [0x22; 32],
            action: "RemoveOperator".into(),
            method: "RemoveOperator".into(),
            request: v1::RemoveOperatorRequest {
                name: "operators/bob".into(),
                validate_only: false,
            }
            .encode_to_vec(),
            etag: [0x33; 32],
            requester: "operators/alice".into(),
            policy: 7,
            requested_at: 1_795_500_000_000_000,
            expires_at: 1_795_586_400_000_000,
        }
    }

    #[test]
    fn it_is_as_documented() {
        let bytes = example().encode();
        assert!(DOCS.contains(&hex(&bytes)), "{}", hex(&bytes));
        let understood = Statement::understand(&bytes).unwrap();
        assert!(DOCS.contains(&hex(&understood.hash())));
        assert_eq!(understood.statement, example());
        assert_eq!(
            understood.fields,
            [("name".to_owned(), "operators/bob".to_owned())]
        );
    }

    #[test]
    fn what_cannot_be_shown_whole_is_not_signed() {
        let refused = |change: &dyn Fn(&mut Statement)| {
            let mut statement = example();
            change(&mut statement);
            Statement::understand(&statement.encode()).is_err()
        };
        assert!(!refused(&|_| {}));
        // a field that this version does not know, a field twice, a default written out, no message at all
        assert!(refused(&|it| it.request.extend(b"\x9a\x06\x01x")));
        assert!(refused(&|it| it.request.extend(it.request.clone())));
        assert!(refused(&|it| it.request = b"\x0a\x00".to_vec()));
        assert!(refused(&|it| it.request = b"\xff".to_vec()));
        assert!(refused(&|it| it.method = "Encrypt".into()));
        let bytes = example().encode();
        assert!(Statement::understand(&[&bytes[..], &[0]].concat()).is_err());
        for len in 0..bytes.len() {
            assert!(Statement::understand(&bytes[..len]).is_err());
        }
        let mut other = bytes;
        other[4] ^= 1;
        assert!(Statement::understand(&other).is_err(), "another label");
    }
}
