//! `kms audit list --tail`: page after page, each waiting at the service for news. A page costs one entry in the log,
//! and an entry about reading the log is no news, so a tail of a log that rests writes one entry in 20 seconds.

use super::entry::EntryReport;
use super::list::{entries, page};
use crate::args::Form;
use crate::exit::Failure;
use crate::output;
use crate::session::Session;
use kms_client::proto::v1;
use std::io::{self, Write as _};

/// How long a page waits.
const WAIT: prost_types::Duration = prost_types::Duration {
    seconds: 20,
    nanos: 0,
};

/// Follows the log. Shows the last `before` entries first, or begins where the request does.
///
/// # Errors
/// The service's; ends well when nobody reads any more.
pub(super) async fn follow(
    session: &Session,
    mut request: v1::ListEntriesRequest,
    before: Option<u32>,
    wanted: impl Fn(&v1::AuditEntry) -> bool,
) -> Result<(), Failure> {
    if let Some(before) = before {
        let newest = v1::ListEntriesRequest {
            page_size: 1,
            newest_first: true,
            ..Default::default()
        };
        let newest = page(session, &newest).await?;
        let last = newest.entries.first().map_or(0, |entry| entry.sequence);
        let limit = usize::try_from(before).unwrap_or(usize::MAX);
        let past = v1::ListEntriesRequest {
            newest_first: true,
            from_sequence: last,
            ..request.clone()
        };
        let (mut past, _) = entries(session, past, limit, &wanted).await?;
        past.reverse();
        if !show(session, past.iter())? {
            return Ok(());
        }
        request.from_sequence = last + 1;
    }
    request.wait = Some(WAIT);
    loop {
        let page = page(session, &request).await?;
        if !show(session, page.entries.iter().filter(|entry| wanted(entry)))? {
            return Ok(());
        }
        request.page_token = page.next_page_token;
    }
}

/// One line for each; `false` when nobody reads any more.
fn show<'e>(
    session: &Session,
    entries: impl Iterator<Item = &'e v1::AuditEntry>,
) -> Result<bool, Failure> {
    let mut text = String::new();
    for entry in entries {
        let report = EntryReport::from(entry);
        match session.form() {
            Form::Table => text.push_str(&report.line()),
            Form::Json => text.push_str(&output::json_line(&report)?),
        }
        text.push('\n');
    }
    let mut stdout = io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error.into()),
    }
}
