//! Anchors: witnesses outside that remember the log's checkpoints (C2SP tlog-witness). Each new checkpoint is pushed to
//! all of them, never in the way of a call; at unseal enough of them must say that this log extends what they saw.
//! Believes no anchor but its signature, and forgets nothing that one has contradicted.

mod witness;

use crate::audit_log::{AuditLog, Signed};
use crate::config::WitnessSettings;
use crate::system::clock::Clock;
use kms_core::cipher::signature::Fingerprint;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tlog::{CHECKPOINT, Checkpoint, Directory, Note};
use witness::{Failed, Witness};

/// A witness that cannot be reached is asked again after this long, then twice, up to [`RETRY_MAX`].
const RETRY: Duration = Duration::from_secs(10);
const RETRY_MAX: Duration = Duration::from_mins(5);

/// Why the daemon stays sealed.
#[derive(Debug, thiserror::Error)]
pub enum NotAnchored {
    /// One has seen what this log does not have.
    #[error("{0}")]
    Contradicted(String),
    /// Too few answered.
    #[error(
        "{answered} of {configured} anchors answered, {needed} are needed: {problems}; see audit.min_anchors"
    )]
    TooFew {
        /// That vouched.
        answered: usize,
        /// In the configuration.
        configured: usize,
        /// `audit.min_anchors`.
        needed: usize,
        /// Why the others did not.
        problems: String,
    },
    /// What is to be shown to them is not there.
    #[error(
        "the audit log's newest checkpoint cannot be read ({0}): put it back, or unseal once with audit.min_anchors = 0, \
         so that it is made again"
    )]
    NoCheckpoint(String),
}

/// See the module.
pub struct Anchors {
    witnesses: Vec<Witness>,
    needed: usize,
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    /// The newest checkpoint that any of them cosigned, with all their signatures.
    cosigned: Mutex<Option<Signed>>,
}

impl Anchors {
    /// Those of the configuration, for the log in `dir`.
    ///
    /// # Errors
    /// What is wrong with an address or a file.
    pub fn new(
        settings: &[WitnessSettings],
        needed: usize,
        dir: &Path,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        let witnesses: Result<Vec<_>, _> = settings
            .iter()
            .map(|settings| Witness::new(settings, dir, &clock))
            .collect();
        Ok(Self {
            witnesses: witnesses?,
            needed,
            dir: dir.to_owned(),
            clock,
            cosigned: Mutex::default(),
        })
    }

    /// Asks all of them whether the log extends what they saw; `was_signed`: the store knows that it was signed before.
    /// How many vouched for it.
    ///
    /// # Errors
    /// [`NotAnchored`]; a log that was never signed has nothing to be asked about.
    pub async fn confirm(&self, audit: &AuditLog, was_signed: bool) -> Result<usize, NotAnchored> {
        if self.witnesses.is_empty() || self.needed == 0 {
            return Ok(0);
        }
        let Some(signed) = self.newest(was_signed)? else {
            return Ok(0);
        };
        let signed = &Arc::new(signed);
        let asked = self.witnesses.iter().map(|witness| async move {
            let pushed = witness.push(signed, &*self.clock).await;
            pushed.map_err(|failed| (witness.name(), failed))
        });
        let (mut answered, mut problems) = (0, Vec::new());
        for pushed in together(asked).await {
            match pushed {
                Ok(lines) => {
                    answered += 1;
                    self.keep(audit, signed, &lines);
                }
                Err((name, Failed::Contradicted(text))) => {
                    return Err(NotAnchored::Contradicted(format!("anchor {name}: {text}")));
                }
                Err((name, failed)) => problems.push(format!("{name}: {failed}")),
            }
        }
        if answered < self.needed {
            return Err(NotAnchored::TooFew {
                answered,
                configured: self.witnesses.len(),
                needed: self.needed,
                problems: problems.join("; "),
            });
        }
        Ok(answered)
    }

    fn newest(&self, was_signed: bool) -> Result<Option<Signed>, NotAnchored> {
        let missing = |error: &dyn std::fmt::Display| NotAnchored::NoCheckpoint(error.to_string());
        let note = Directory::new(&self.dir).read_text(CHECKPOINT);
        let Some(note) = note.map_err(|error| missing(&error))? else {
            return if was_signed {
                Err(missing(&"it is missing"))
            } else {
                Ok(None)
            };
        };
        let parsed = Note::parse(&note).and_then(|note| Checkpoint::parse(note.text()));
        let checkpoint = parsed.map_err(|error| missing(&error))?;
        Ok(Some(Signed { checkpoint, note }))
    }

    /// Pushes each new checkpoint to all of them, for ever. What one has not taken yet is only ever the newest.
    pub async fn run(&self, audit: &AuditLog) {
        together(
            self.witnesses
                .iter()
                .map(|witness| self.feed(witness, audit)),
        )
        .await;
    }

    async fn feed(&self, witness: &Witness, audit: &AuditLog) {
        let mut checkpoints = audit.checkpoints();
        let mut wait = RETRY;
        loop {
            let newest = checkpoints.borrow_and_update().clone();
            let pushed = match newest {
                Some(signed) if !witness.has_seen(&signed) => witness
                    .push(&signed, &*self.clock)
                    .await
                    .map(|lines| self.keep(audit, &signed, &lines)),
                _ => Ok(()),
            };
            if pushed.is_ok() {
                wait = RETRY;
                // an error says that the log is closed
                if checkpoints.changed().await.is_err() {
                    return;
                }
            } else {
                let until = self.clock.monotonic().saturating_add(wait);
                self.clock.wait_until(until).await;
                wait = wait.saturating_mul(2).min(RETRY_MAX);
            }
        }
    }

    /// What enough of them signed lies beside the log.
    fn keep(&self, audit: &AuditLog, signed: &Signed, lines: &str) {
        let gathered = self.gather(signed, lines);
        let note = Note::parse(&gathered.note);
        let by = |note: &Note| {
            self.witnesses
                .iter()
                .filter(|one| one.has_signed(note))
                .count()
        };
        if note.is_ok_and(|note| by(&note) >= self.needed.max(1)) {
            audit.keep_cosigned(gathered);
        }
    }

    /// Adds a signature to those that the same checkpoint has.
    fn gather(&self, signed: &Signed, lines: &str) -> Signed {
        let mut cosigned = self.lock();
        let known = cosigned
            .take()
            .filter(|known| known.checkpoint == signed.checkpoint);
        let mut gathered = known.unwrap_or_else(|| signed.clone());
        let with = format!("{}{lines}", gathered.note);
        let parsed = (Note::parse(&with), Note::parse(&gathered.note));
        if let (Ok(with), Ok(before)) = parsed {
            gathered.note += &with.added_to(&before);
        }
        *cosigned = Some(gathered.clone());
        gathered
    }

    fn lock(&self) -> MutexGuard<'_, Option<Signed>> {
        self.cosigned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there are.
    #[must_use]
    pub const fn configured(&self) -> usize {
        self.witnesses.len()
    }

    /// How many must vouch at unseal.
    #[must_use]
    pub const fn needed(&self) -> usize {
        self.needed
    }

    /// What the daemon says of its log and of those who do not vouch for it: the beginning of what overrides them.
    #[must_use]
    pub fn standoff(&self, origin: &str, instance: Fingerprint) -> Option<String> {
        let newest = self.newest(true).ok().flatten()?.checkpoint;
        let (size, root) = (newest.size, newest.root);
        let mut text = format!("kms-override/1\n{origin}\n{instance}\nlog {size} {root}\n");
        for witness in &self.witnesses {
            if let Some(word) = witness.word() {
                text += &format!("anchor {} {word}\n", witness.name());
            }
        }
        Some(text)
    }

    /// What an operator must hear of: who does not answer, and who contradicts.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        self.witnesses.iter().filter_map(Witness::problem).collect()
    }
}

/// Runs them side by side on this task.
async fn together<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, output) in &mut running {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(ready) => *output = Some(ready),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending {
            std::task::Poll::Pending
        } else {
            std::task::Poll::Ready(())
        }
    })
    .await;
    running
        .into_iter()
        .filter_map(|(_, output)| output)
        .collect()
}
