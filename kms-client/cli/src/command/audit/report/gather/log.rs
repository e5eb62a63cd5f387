//! The log itself: verified from the first entry to the last while the report is made, its signed heads, and proofs of the
//! entries that matter most.

use crate::command::audit::entry::EntryReport;
use crate::command::audit::prove::prove;
use crate::command::audit::remote::with_log;
use crate::command::audit::report::facts::{Checkpoints, Events, Head, Proof, Verdict};
use crate::command::audit::verify::{check, untrusted};
use crate::exit::Failure;
use crate::output::brief;
use crate::session::Session;
use tlog::{
    CHECKPOINT, Checkpoint, Directory, Keychain, Options, VerifierKey, history_path, read_notes,
};

/// Most proofs that a report carries.
const PROOFS_MAX: usize = 12;
/// Most signed heads that are shown.
const HEADS_MAX: usize = 20;

/// What was read.
pub(super) struct Read {
    pub(super) verdict: Verdict,
    pub(super) checkpoints: Checkpoints,
    pub(super) proofs: Vec<Proof>,
}

/// An entry to prove, with words on it.
pub(super) type Worth = (u64, String);

/// The newest of each list, those lists first that come first; the log's first entry always.
pub(super) fn worth_proving(events: &[&Events]) -> Vec<Worth> {
    let mut worth = vec![(0, "the log's first entry".to_owned())];
    let newest = events
        .iter()
        .flat_map(|events| events.newest.iter().take(4));
    worth.extend(newest.map(|entry| (entry.sequence(), about(entry))));
    worth.dedup_by_key(|(sequence, _)| *sequence);
    worth.truncate(PROOFS_MAX);
    worth
}

fn about(entry: &EntryReport) -> String {
    let time = brief(entry.time().map(str::to_owned).as_ref());
    format!("{} by {}, {time}", entry.what(), entry.principal())
}

/// Verifies and proves.
///
/// # Errors
/// The service's; a log that does not hold is told in the verdict.
pub(super) async fn read(
    session: &Session,
    key: VerifierKey,
    worth: Vec<Worth>,
) -> Result<Read, Failure> {
    with_log(session, move |log| Ok(of_log(log, &key, worth))).await
}

fn of_log(log: &Directory, key: &VerifierKey, worth: Vec<Worth>) -> Read {
    let options = Options {
        external: &[],
        since: None,
        check: &mut check,
        progress: &mut |_, _| {},
    };
    let verdict = match tlog::verify_directory(log, key, options) {
        Ok(verified) => Verdict {
            holds: true,
            words: format!(
                "verified: all {} signed entries are in their place, {} signed roots hold",
                verified.checkpoint.size, verified.checkpoints
            ),
            entries: verified.checkpoint.size,
            root: verified.checkpoint.root.to_string(),
        },
        Err(found) => Verdict {
            holds: false,
            words: format!("the log does not hold: {found}"),
            entries: 0,
            root: String::new(),
        },
    };
    let proven = worth.into_iter().filter_map(|(sequence, about)| {
        // what has no checkpoint yet, or no longer holds, has no proof
        let file = prove(log, key, sequence).ok()?;
        Some(Proof { about, file })
    });
    let proofs = if verdict.holds {
        proven.collect()
    } else {
        Vec::new()
    };
    Read {
        verdict,
        checkpoints: checkpoints(log, key).unwrap_or_default(),
        proofs,
    }
}

fn checkpoints(log: &Directory, key: &VerifierKey) -> Result<Checkpoints, Failure> {
    let unreadable = |error: std::io::Error| Failure::failed(error.to_string());
    let certificates = log.certificates().map_err(unreadable)?;
    let keys = Keychain::follow(key, &certificates).map_err(untrusted)?;
    let note = log.read_text(CHECKPOINT).map_err(unreadable)?;
    let newest = keys
        .checkpoint(&note.unwrap_or_default())
        .map_err(untrusted)?;
    let mut heads: Vec<Checkpoint> = Vec::new();
    for file in 0..=newest.size >> 16 {
        let text = log
            .read_text(&history_path(file << 16))
            .map_err(unreadable)?;
        let text = text.unwrap_or_default();
        let notes = read_notes(&text).map_err(|error| Failure::failed(error.to_string()))?;
        for (_, note) in notes {
            heads.push(keys.signed(&note).map_err(untrusted)?);
        }
    }
    let head = |one: &Checkpoint| Head {
        entries: one.size,
        root: one.root.to_string(),
    };
    Ok(Checkpoints {
        count: heads.len(),
        log_keys: keys.certificates().len(),
        newest: heads.iter().rev().take(HEADS_MAX).map(head).collect(),
    })
}
