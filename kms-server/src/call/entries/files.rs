//! GetLogFiles: what a static file server over the tree would give, to who may read the log.

use super::blocking;
use crate::audit_log::AuditLog;
use crate::call::Service;
use crate::call::lane::Lane;
use crate::call::road::Incoming;
use crate::call::ticket::Ticket;
use kms_core::engine::Refusal;
use kms_core::policy::act;
use kms_proto::v1;
use std::io;

/// Most files of a call.
const FILES_MAX: usize = 64;
/// Most bytes of an answer's files together.
const BYTES_MAX: usize = 1 << 20;

impl Service {
    /// The RPC.
    pub(in crate::call) async fn get_log_files(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        call: &Incoming,
    ) -> Result<v1::GetLogFilesResponse, Refusal> {
        self.reading::<act::GetLogFiles, _>(lane, ticket, async |ticket, _| {
            let message: v1::GetLogFilesRequest =
                self.allowed_to_read::<act::GetLogFiles, _>(ticket, call)?;
            if !(1..=FILES_MAX).contains(&message.files.len()) {
                return Err(Refusal::field("files", "1 to 64 files").into());
            }
            let audit = self.audit.clone();
            let files = blocking(move || read(&audit, &message.files)).await?;
            Ok(v1::GetLogFilesResponse { files })
        })
        .await
    }
}

fn read(audit: &AuditLog, wanted: &[v1::LogFileRequest]) -> io::Result<Vec<v1::LogFile>> {
    let mut files = Vec::new();
    let mut left = BYTES_MAX;
    for file in wanted {
        let found = audit.tree_file(&file.path, file.offset, left)?;
        let mut answer = v1::LogFile {
            path: file.path.clone(),
            ..Default::default()
        };
        if let Some(found) = found {
            answer.found = true;
            left = left.saturating_sub(found.bytes.len());
            answer.contents = found.bytes.into();
            answer.size = found.len;
        }
        files.push(answer);
        if left == 0 {
            break;
        }
    }
    Ok(files)
}
