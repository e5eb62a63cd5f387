//! `kms audit rotate-key`: the next key that signs the log's checkpoints.

use crate::command::call;
use crate::exit::Failure;
use crate::output::{Report, Table};
use crate::session::Session;
use clap::Args;
use kms_client::proto::v1;
use serde::Serialize;

/// Make the next key that signs the log's checkpoints; the one before signs its certificate and is destroyed.
/// Whoever verifies goes on with the same public key of the instance. Asks for a new code.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kms audit rotate-key")]
pub(crate) struct RotateKey;

impl RotateKey {
    /// Runs it.
    ///
    /// # Errors
    /// The service's.
    pub(super) async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = v1::RotateLogKeyRequest::default();
        let answer =
            call!(session, once audit_service_client::AuditServiceClient.rotate_log_key, request)?;
        session.show(&Rotated {
            number: answer.number,
            from_entries: answer.from_size,
            certificate: answer.certificate,
        })
    }
}

#[derive(Debug, Serialize)]
struct Rotated {
    number: u32,
    /// Up to here the key before has signed.
    from_entries: u64,
    /// A note, signed by the instance key and the log key before.
    certificate: String,
}

impl Report for Rotated {
    fn table(&self) -> Table {
        let mut table = Table::facts();
        table.fact("log key", self.number.to_string());
        table.fact("signs from entry", self.from_entries.to_string());
        table
    }
}
