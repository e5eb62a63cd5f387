//! What approvers sign, byte for byte (docs/formats.md, "Approval statement"). Every part has its length before
//! it, so nothing can move from one to the next; the command line makes the same bytes from what it shows.

use crate::cipher::{label, sha256};
use crate::codec::Writer;
use crate::name::{ApprovalId, PrincipalName};
use crate::policy::Action;
use crate::time::Timestamp;

/// The only format so far.
const FORMAT: u8 = 1;
/// Most bytes of a request that can wait for others.
pub const REQUEST_MAX: usize = 56 * 1024;

/// What a signature says yes to.
#[derive(Debug, Clone, Copy)]
pub struct Statement<'a> {
    /// Nonce, and name of the approval.
    pub id: ApprovalId,
    /// Of the audit log: `name/epoch`.
    pub origin: &'a str,
    /// SHA-256 of the instance's public key: two installations never share a statement.
    pub instance: [u8; 32],
    /// What would be done.
    pub action: Action,
    /// The RPC's name.
    pub method: &'a str,
    /// The request, decoded and encoded again.
    pub request: &'a [u8],
    /// Stands for what the request would change, as it is now.
    pub etag: [u8; 32],
    /// Who asks.
    pub requester: &'a PrincipalName,
    /// Generation of the policy that allowed it.
    pub policy: u64,
    /// When it was asked.
    pub requested_at: Timestamp,
    /// Worth nothing from here on.
    pub expires_at: Timestamp,
}

fn counted(w: &mut Writer, bytes: &[u8]) {
    w.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX))
        .bytes(bytes);
}

impl Statement<'_> {
    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(512);
        counted(&mut w, label::APPROVAL_STATEMENT);
        w.u8(FORMAT).bytes(&self.id.0);
        counted(&mut w, self.origin.as_bytes());
        w.bytes(&self.instance);
        counted(&mut w, self.action.as_str().as_bytes());
        counted(&mut w, self.method.as_bytes());
        counted(&mut w, self.request);
        w.bytes(&self.etag);
        counted(&mut w, self.requester.as_str().as_bytes());
        w.u64(self.policy)
            .i64(self.requested_at.as_micros())
            .i64(self.expires_at.as_micros());
        w.finish()
    }
}

/// Stands for the state of something: SHA-256 over a label and its parts, each with its length before it.
#[must_use]
pub fn etag(parts: &[&[u8]]) -> [u8; 32] {
    let mut w = Writer::default();
    parts.iter().for_each(|part| counted(&mut w, part));
    sha256(&[label::APPROVAL_TARGET, &w.finish()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::hex;

    /// The vector of docs/formats.md; the command line's own code is held to the same.
    #[test]
    fn the_statement_is_as_documented() {
        const DOCS: &str = include_str!("../../../../../docs/formats.md");
        let requester = PrincipalName::parse("operators/alice").unwrap();
        let statement = Statement {
            id: ApprovalId([0x11; 16]),
            origin: "kms/1",
            instance: [0x22; 32],
            action: Action::RemoveOperator,
            method: "RemoveOperator",
            request: b"\x0a\x0doperators/bob",
            etag: [0x33; 32],
            requester: &requester,
            policy: 7,
            requested_at: Timestamp::from_micros(1_795_500_000_000_000),
            expires_at: Timestamp::from_micros(1_795_586_400_000_000),
        };
        let bytes = hex(&statement.encode());
        assert!(DOCS.contains(&bytes), "{bytes}");
        let hash = hex(&sha256(&[&statement.encode()]));
        assert!(DOCS.contains(&hash), "{hash}");
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(etag(&[b"ab", b"c"]), etag(&[b"a", b"bc"]));
        assert_ne!(etag(&[b"ab"]), etag(&[b"ab", b""]));
    }
}
