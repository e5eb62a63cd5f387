//! The unsealed service: state, publisher, keys of the log, unsealing and sealing. Exists only while
//! unsealed; dropping it forgets every key.

pub mod alarms;
pub mod creation;
pub mod gate;
pub mod gather;
pub mod generation;
pub mod opening;
pub mod publisher;
mod publishing;
pub mod sessions;
pub mod shred_cache;
pub mod state;
pub mod submitting;
mod tasks;

pub use opening::{OpenError, Parts};

use crate::audit_log::{Signed, UsageMark};
use crate::identity::authority::Authority;
use crate::store::{Change, Records, Writer};
use alarms::Alarms;
use kms_core::audit::leaf::{DirectoryKeys, Month, MonthKeys};
use kms_core::cipher::HashKey;
use kms_core::cipher::signature::InstanceKey;
use kms_core::format::place::Tree;
use kms_core::format::root::Shard;
use kms_core::key::record::{Expect, LogHead, Record, RecordKey, Write};
use kms_core::name::CallId;
use kms_core::secret::IntakeKey;
use kms_core::time::Timestamp;
use publisher::Publisher;
use sessions::Sessions;
use state::State;
use std::sync::Arc;
use submitting::Submitting;
use tasks::Tasks;
use tokio::sync::oneshot;

/// Everything that needs the master key.
pub struct Live {
    /// What calls read.
    pub state: Arc<State>,
    /// The store, typed.
    pub records: Records,
    /// The service's own keys.
    pub keys: Keys,
    /// What the status tells.
    pub alarms: Alarms,
    /// Shards that did not add up at unseal: records in them were removed, or put back from an older copy.
    pub altered: Vec<(Tree, Shard)>,
    /// Of operators.
    pub sessions: Sessions,
    publisher: Arc<Publisher>,
    writer: Writer,
    tasks: Arc<Tasks>,
}

/// The service's own keys, ready for use.
pub struct Keys {
    /// Keys record keys of names, and page tokens.
    pub index: HashKey,
    /// The audit directory's.
    pub directory: DirectoryKeys,
    /// Certifies the log's keys.
    pub instance: InstanceKey,
    /// Opens what was written to the log while sealed.
    pub intake: IntakeKey,
    /// The built-in certificate authority, where the installation has one.
    pub authority: Option<Authority>,
}

/// A change as the road hands it in.
#[derive(Debug)]
pub struct Submitted {
    /// The call that makes it; its entries carry the same id.
    pub id: CallId,
    /// Writes, one transaction.
    pub writes: Vec<Write>,
    /// Its entries, head first; empty for housekeeping.
    pub leaves: Vec<Vec<u8>>,
    /// Generation of the snapshot that it was decided on.
    pub generation: u64,
    /// Takes something away.
    pub restricts: bool,
    /// Versions that the call used, counted when its entries are logged.
    pub usage: Vec<UsageMark>,
}

impl Live {
    /// The audit key of the month of `now`.
    #[must_use]
    pub fn month(&self, now: Timestamp) -> Option<Arc<MonthKeys>> {
        self.state.month(Month::of(now))
    }

    /// Commits, logs and publishes a change; ready when all of it has happened. Under way from the call
    /// on: dropping the future cancels nothing.
    ///
    /// Who submits a restriction must not hold a snapshot: it would wait for itself.
    pub fn submit(&self, change: Submitted) -> Submitting {
        let (done, end) = oneshot::channel();
        if !change.leaves.is_empty() {
            self.publisher.entrust(change.id, change.usage);
        }
        self.writer.submit(Change {
            writes: change.writes,
            leaves: change.leaves,
            generation: change.generation,
            restricts: change.restricts,
            done,
        });
        Submitting {
            id: change.id,
            end,
            publisher: Arc::clone(&self.publisher),
            tasks: Arc::clone(&self.tasks),
        }
    }

    /// Waits until everything that is committed now is visible, or nothing more will be: what a conflict ran into.
    pub async fn settled(&self) {
        self.publisher.visible(self.publisher.committed()).await;
    }

    /// The writer, for jobs: scrubbing, counts.
    #[must_use]
    pub const fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Tells the store what was signed of the log, unless it knows more.
    pub async fn store_log_head(&self, signed: &Signed) {
        let known = self.state.log_head();
        let checkpoint = &signed.checkpoint;
        if known
            .as_ref()
            .is_some_and(|(known, _)| known.size >= checkpoint.size)
        {
            return;
        }
        let head = LogHead {
            origin: checkpoint.origin.as_str().into(),
            size: checkpoint.size,
            root: checkpoint.root.0,
        };
        let expect = known.map_or(Expect::Absent, |(_, revision)| Expect::Unchanged(revision));
        let stored = self.submit(Submitted {
            id: CallId([0; 16]),
            writes: vec![Write {
                key: RecordKey::log_head(),
                expect,
                record: Some(Record::LogHead(head)),
            }],
            leaves: Vec::new(),
            generation: self.state.generation(),
            restricts: false,
            usage: Vec::new(),
        });
        if let Err(error) = stored.await {
            // the next checkpoint tries again
            tracing::warn!(%error, "the newest signed root is not in the store");
        }
    }

    /// Sealing begins: from now on nothing waits for a log that cannot be written. Callers hear OUTCOME_UNKNOWN, and
    /// the outbox carries what is committed to the next unseal.
    pub fn begin_closing(&self) {
        self.publisher.seal();
    }

    /// Finishes what is under way and lets go of the store. Ends also while the log cannot be written.
    pub async fn close(&self) {
        self.begin_closing();
        self.settled().await;
        // with the writer goes the only way to the publishing task, which ends behind the last commit
        self.writer.stop().await;
        self.tasks.ended().await;
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Live(<redacted>)")
    }
}
