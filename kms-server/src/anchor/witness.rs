//! One witness, as the log sees it: what it was shown last, and why it does not take the next. Says nothing of the log
//! but checkpoints and proofs.

use crate::audit_log::Signed;
use crate::config::WitnessSettings;
use crate::system::clock::Clock;
use crate::system::outgoing::{Outgoing, Question};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tlog::{Directory, Note, Submission, VerifierKey, proof};

/// Most bytes of an answer: a few signatures.
const ANSWER_MAX: usize = 16 * 1024;
/// Questions for one checkpoint: with what is believed, with what the witness says, and with the log's keys.
const TRIES: usize = 4;

/// Why a witness does not vouch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failed {
    /// It has seen what this log does not have.
    #[error("{0}")]
    Contradicted(String),
    /// No answer, or none that counts.
    #[error("{0}")]
    Unanswered(String),
}

/// See the module.
pub(super) struct Witness {
    key: VerifierKey,
    address: Outgoing,
    directory: Directory,
    /// Size of the last checkpoint that it cosigned, as far as is known here.
    known: AtomicU64,
    /// Size of the last one cosigned in this process; to ask no more than once.
    done: AtomicU64,
    problem: Mutex<Option<Failed>>,
}

impl Witness {
    pub(super) fn new(
        settings: &WitnessSettings,
        dir: &Path,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, String> {
        let wrong = |error: String| format!("{}: {error}", settings.key.name());
        let url = settings.url.trim_end_matches('/');
        let address = match &settings.ca {
            Some(ca) => Outgoing::secure(url, ca, clock, ANSWER_MAX),
            None => Outgoing::plain(url, ANSWER_MAX),
        };
        Ok(Self {
            key: settings.key.clone(),
            address: address.map_err(wrong)?,
            directory: Directory::new(dir),
            known: AtomicU64::new(0),
            done: AtomicU64::new(0),
            problem: Mutex::default(),
        })
    }

    pub(super) fn name(&self) -> String {
        self.key.name().to_owned()
    }

    pub(super) fn has_signed(&self, note: &Note) -> bool {
        note.is_signed_by(&self.key)
    }

    pub(super) fn problem(&self) -> Option<String> {
        let problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        let problem = problem.as_ref()?;
        Some(format!("anchor {}: {problem}", self.key.name()))
    }

    /// Why it does not vouch, in one line of our own words that stays the same while it says the same.
    pub(super) fn word(&self) -> Option<String> {
        let problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        Some(match problem.as_ref()? {
            Failed::Contradicted(text) => text.clone(),
            Failed::Unanswered(_) => "does not answer".to_owned(),
        })
    }

    /// Whether it has cosigned that checkpoint in this process.
    pub(super) fn has_seen(&self, signed: &Signed) -> bool {
        let size = signed.checkpoint.size;
        size > 0 && self.done.load(Ordering::Acquire) == size
    }

    /// Shows it a checkpoint, whether it has seen it or not; its signature line.
    pub(super) async fn push(
        &self,
        signed: &Arc<Signed>,
        clock: &dyn Clock,
    ) -> Result<String, Failed> {
        let size = signed.checkpoint.size;
        let pushed = self.try_push(signed, clock).await;
        let mut problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        if *problem != pushed.as_ref().err().cloned() {
            if let Err(failed) = &pushed {
                tracing::error!(anchor = self.key.name(), %failed, "a checkpoint is not anchored");
            }
            *problem = pushed.as_ref().err().cloned();
        }
        drop(problem);
        if pushed.is_ok() {
            self.known.store(size, Ordering::Release);
            self.done.store(size, Ordering::Release);
        }
        pushed
    }

    async fn try_push(&self, signed: &Arc<Signed>, clock: &dyn Clock) -> Result<String, Failed> {
        let unanswered = |text: String| Failed::Unanswered(text);
        let mut told_keys = false;
        for _ in 0..TRIES {
            let old = self
                .known
                .load(Ordering::Acquire)
                .min(signed.checkpoint.size);
            let body = self.submission(signed, old).await.map_err(unanswered)?;
            let (status, answer) = self.ask("/add-checkpoint", body, clock).await?;
            match status {
                StatusCode::OK => return self.check(signed, &answer),
                StatusCode::CONFLICT => self.conflict(signed, old, &answer)?,
                StatusCode::FORBIDDEN if !told_keys => {
                    told_keys = true;
                    self.tell_keys(clock).await?;
                }
                StatusCode::UNPROCESSABLE_ENTITY => {
                    return Err(Failed::Contradicted(format!(
                        "the log's first {old} entries are not those that it saw"
                    )));
                }
                _ => {
                    let text = format!("it answers {status}: {}", answer.trim());
                    return Err(Failed::Unanswered(text));
                }
            }
        }
        Err(Failed::Unanswered("it does not come to an end".to_owned()))
    }

    /// The question from size `old` on, with the proof from the tiles.
    async fn submission(&self, signed: &Arc<Signed>, old: u64) -> Result<String, String> {
        let (directory, signed) = (self.directory.clone(), Arc::clone(signed));
        let made = tokio::task::spawn_blocking(move || {
            let size = signed.checkpoint.size;
            let proof = proof::prove_consistency(&directory, size, old);
            let proof =
                proof.map_err(|error| format!("the log's tiles cannot be read: {error}"))?;
            let submission = Submission {
                old_size: old,
                proof,
                note: signed.note.clone(),
            };
            Ok(submission.text())
        });
        made.await.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// Its signature must be right, and its own.
    fn check(&self, signed: &Signed, lines: &str) -> Result<String, Failed> {
        let bare = signed
            .note
            .split_inclusive("\n\n")
            .next()
            .unwrap_or_default();
        let note = Note::parse(&format!("{bare}{lines}"));
        let is_signed = note.is_ok_and(|note| note.is_signed_by(&self.key));
        is_signed.then(|| lines.to_owned()).ok_or_else(|| {
            Failed::Unanswered("its signature is not that of the configured key".to_owned())
        })
    }

    /// It is at another size than was believed.
    fn conflict(&self, signed: &Signed, old: u64, answer: &str) -> Result<(), Failed> {
        let size = signed.checkpoint.size;
        let seen: u64 = answer.trim().parse().map_err(|_| {
            Failed::Unanswered("it does not say which checkpoint it knows".to_owned())
        })?;
        if seen > size {
            return Err(Failed::Contradicted(format!(
                "the log ends at {size} entries, it has seen {seen}: the log was cut, or an older copy was put back"
            )));
        }
        if seen == old {
            return Err(Failed::Contradicted(format!(
                "it has seen another log of {seen} entries"
            )));
        }
        self.known.store(seen, Ordering::Release);
        Ok(())
    }

    /// The certificates of the log's keys: a witness that trusts the instance key follows them.
    async fn tell_keys(&self, clock: &dyn Clock) -> Result<(), Failed> {
        let directory = self.directory.clone();
        let read = tokio::task::spawn_blocking(move || directory.certificates()).await;
        let read = read.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        let notes = read.map_err(|error| Failed::Unanswered(error.to_string()))?;
        let (status, answer) = self.ask("/add-log-keys", notes.concat(), clock).await?;
        if status == StatusCode::OK {
            return Ok(());
        }
        let text = format!(
            "it does not know the log's keys ({status}: {})",
            answer.trim()
        );
        Err(Failed::Unanswered(text))
    }

    async fn ask(
        &self,
        path: &str,
        body: String,
        clock: &dyn Clock,
    ) -> Result<(StatusCode, String), Failed> {
        let question = Question {
            method: Method::POST,
            path,
            accept: HeaderValue::from_static("text/plain"),
            body: body.into_bytes(),
            headers: HeaderMap::new(),
        };
        let answer = self.address.ask(question, clock).await;
        let answer = answer.map_err(Failed::Unanswered)?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        Ok((answer.status, text))
    }
}
