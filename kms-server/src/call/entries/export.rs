//! SignExport: the log key's word on who exported which entries when. What the exported file says is the caller's
//! word; that the entries are the log's is proven by the tree, not by this signature.

use crate::call::Service;
use crate::call::lane::Lane;
use crate::call::operation::Refused;
use crate::call::road::Incoming;
use crate::call::ticket::Ticket;
use crate::live::Live;
use kms_core::cipher::signature::LogKey;
use kms_core::engine::Refusal;
use kms_core::policy::act;
use kms_core::reason::Reason;
use kms_proto::v1;
use tlog::{ExportStatement, Hash, VerifierKey, signature_line};

/// Forms of exported files.
const FORMATS: [&str; 3] = ["jsonl", "csv", "ocsf"];

impl Service {
    /// The RPC.
    pub(in crate::call) async fn sign_export(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        call: &Incoming,
    ) -> Result<v1::SignExportResponse, Refusal> {
        self.reading::<act::SignExport, _>(lane, ticket, async |ticket, live| {
            let message: v1::SignExportRequest =
                self.allowed_to_read::<act::SignExport, _>(ticket, call)?;
            let statement = self.statement(ticket, &message)?;
            let note = signed(live, &statement).ok_or(Reason::AuditUnavailable)?;
            Ok(v1::SignExportResponse { note })
        })
        .await
    }

    fn statement(
        &self,
        ticket: &Ticket<'_>,
        message: &v1::SignExportRequest,
    ) -> Result<ExportStatement, Refused> {
        let (first, end) = (message.from_sequence, message.end_sequence);
        if first >= end || end > self.audit.len() {
            return Err(
                Refusal::field("end_sequence", "behind the first, not behind the log").into(),
            );
        }
        if !FORMATS.contains(&message.format.as_str()) {
            return Err(Refusal::field("format", "jsonl, csv or ocsf").into());
        }
        let digest = <[u8; 32]>::try_from(&*message.file_sha256);
        let digest = digest.map_err(|_| Refusal::field("file_sha256", "32 bytes"))?;
        Ok(ExportStatement {
            origin: self.audit.origin().to_owned(),
            first,
            end,
            format: message.format.clone(),
            file: Hash(digest),
            at: u64::try_from(ticket.at.time.as_micros()).unwrap_or(0) / 1_000_000,
            by: ticket.principal.name.as_str().to_owned(),
        })
    }
}

fn signed(live: &Live, statement: &ExportStatement) -> Option<String> {
    let record = live.state.log_key()?;
    let key = LogKey::new(&record.seed).ok()?;
    let verifier = VerifierKey::new(&statement.origin, key.public().0).ok()?;
    let text = statement.text();
    let line = signature_line(&verifier, &key.sign(text.as_bytes()));
    Some(format!("{text}\n{line}"))
}
