//! From master key to service: loads and verifies the store, makes the log whole, starts writer and
//! publisher. Refuses what does not add up; never repairs.

use super::alarms::Alarms;
use super::publisher::Publisher;
use super::sessions::Sessions;
use super::state::State;
use super::tasks::Tasks;
use super::{Keys, Live};
use crate::audit_log::AuditLog;
use crate::identity::authority::Authority;
use crate::store::writer::WriterParts;
use crate::store::{LoadError, Loaded, Records, Store, Writer, load};
use crate::system::clock::Clock;
use kms_core::audit::leaf::{DirectoryKeys, stamp_change};
use kms_core::cipher::HashKey;
use kms_core::cipher::signature::{Fingerprint, InstanceKey};
use kms_core::engine::Snapshot;
use kms_core::entropy::Entropy;
use kms_core::format::root::Shard;
use kms_core::format::stored::{MasterKeys, RecordCipher};
use kms_core::key::record::{Record, RecordKey, Stored, SystemKeys, Tree, UsageRecord};
use kms_core::name::{KeyId, VersionNumber};
use std::sync::Arc;
use tokio::runtime::Handle;

/// What unsealing works with.
pub struct Parts {
    /// The engine.
    pub store: Arc<dyn Store>,
    /// What the keyring gave.
    pub master: MasterKeys,
    /// SHA-256 of the seals' public halves, as the keyring says them.
    pub seals: [u8; 32],
    /// The instance key's, as the keyring (and the configuration) says it.
    pub instance: Fingerprint,
    /// The log.
    pub audit: AuditLog,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Bytes for cached shred secrets.
    pub cache_bytes: usize,
}

/// Why the store was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Somebody exchanged the seals.
    #[error("the seals of the keyring are not those that the store names")]
    SealsExchanged,
    /// Store and keyring belong to different installations.
    #[error("the instance key in the store is not the expected one")]
    OtherInstance,
    /// An older copy of the store was put back.
    #[error(
        "the store ends at change {root}, the audit log at change {log}: an old store was put back"
    )]
    StoreBehindLog {
        /// The store's last change.
        root: u64,
        /// The log's last change.
        log: u64,
    },
    /// The log cannot be made whole.
    #[error("the audit log cannot be brought up to the store: {0}")]
    Audit(std::io::Error),
}

/// What comes before the service: blocking work, on a thread of its own.
struct Opened {
    records: Records,
    loaded: Loaded,
    system: SystemKeys,
    instance: InstanceKey,
    authority: Option<Authority>,
    sequence: u64,
}

/// Opens the store. Call it on the runtime that publishing is to live on.
///
/// # Errors
/// [`OpenError`].
pub async fn open(parts: Parts) -> Result<Arc<Live>, OpenError> {
    let (audit, clock, entropy) = (
        parts.audit.clone(),
        parts.clock.clone(),
        parts.entropy.clone(),
    );
    let cache_bytes = parts.cache_bytes;
    let opened = tokio::task::spawn_blocking(move || verify(parts)).await;
    let opened = opened.map_err(|error| OpenError::Audit(std::io::Error::other(error)))??;
    let Opened {
        records,
        loaded,
        system,
        instance,
        authority,
        sequence,
    } = opened;
    let state = Arc::new(State::new(Snapshot::default(), cache_bytes));
    state.publish(loaded.stored);
    let altered = altered(&loaded.shards);
    quarantine(&state, &loaded.quarantined, &altered);
    let (publisher, inlet, publishing) = Publisher::new(
        Arc::clone(&state),
        records.clone(),
        audit,
        clock,
        &loaded.root,
    );
    let last_change = loaded.root.last_change;
    let writer = Writer::start(WriterParts {
        records: records.clone(),
        root: loaded.root,
        set_hash: loaded.set_hash,
        sink: Arc::new(inlet),
        entropy,
        stamp_change,
    })?;
    writer.logged(last_change, sequence);
    let tasks = Arc::new(Tasks::new(Handle::current()));
    tasks.spawn(publishing.run(writer.clone()));
    let keys = Keys {
        index: HashKey::new(system.index.expose_bytes()),
        directory: DirectoryKeys::new(1, &system.directory),
        instance,
        intake: system.intake,
        authority,
    };
    Ok(Arc::new(Live {
        state,
        records,
        keys,
        alarms: Alarms::default(),
        altered,
        sessions: Sessions::default(),
        publisher: Arc::new(publisher),
        writer,
        tasks,
    }))
}

/// Which trees the shards that do not add up belong to.
fn altered(shards: &[Shard]) -> Vec<(Tree, Shard)> {
    let tree = |shard: &Shard| {
        let holds = |tree: &&Tree| Shard::of_tree(**tree).any(|it| it == *shard);
        Some((*Tree::ALL.iter().find(holds)?, *shard))
    };
    shards.iter().filter_map(tree).collect()
}

/// What a damaged record belongs to is not used, or leaves only the way out; so does what was taken away altogether.
fn quarantine(state: &State, keys: &[RecordKey], altered: &[(Tree, Shard)]) {
    let damaged = quarantined(keys);
    if !damaged.is_empty() {
        tracing::error!(
            datasets = damaged.len(),
            "damaged records: datasets are quarantined"
        );
        drop(state.quarantine(&damaged));
    }
    let any = |of: fn(Tree) -> bool| {
        keys.iter().any(|key| of(key.tree)) || altered.iter().any(|(tree, _)| of(*tree))
    };
    if any(Tree::is_of_operators) {
        tracing::error!("damaged records of operators: nobody of them is let in");
        drop(state.quarantine_operators());
    }
    if any(|tree| tree == Tree::Service) {
        tracing::error!("damaged records of services: no certificate of theirs is taken");
        drop(state.quarantine_services());
    }
    if any(|tree| tree == Tree::Policies) {
        tracing::error!("damaged records of policies: nothing but to put others into force");
        drop(state.quarantine_policies());
    }
}

fn verify(parts: Parts) -> Result<Opened, OpenError> {
    let cipher = Arc::new(RecordCipher::new(&parts.master));
    let records = Records::new(parts.store, cipher);
    let mut loaded = load(&records)?;
    if loaded.root.seals != parts.seals {
        return Err(OpenError::SealsExchanged);
    }
    let system = take_system_keys(&mut loaded.stored)?;
    let authority = take_authority(&mut loaded.stored);
    let instance = InstanceKey::new(&system.instance).map_err(|_| OpenError::OtherInstance)?;
    if instance.public().fingerprint() != parts.instance {
        return Err(OpenError::OtherInstance);
    }
    let from = loaded.root.logged_sequence;
    let reconciled = parts
        .audit
        .reconcile(&loaded.outbox, from)
        .map_err(OpenError::Audit)?;
    if reconciled.last_change > loaded.root.last_change {
        return Err(OpenError::StoreBehindLog {
            root: loaded.root.last_change,
            log: reconciled.last_change,
        });
    }
    if !reconciled.appended.is_empty() {
        tracing::warn!(changes = ?reconciled.appended, "changes without an entry were logged now");
    }
    let usage = usage(&loaded.stored);
    parts.audit.seed_usage(&usage).map_err(OpenError::Audit)?;
    Ok(Opened {
        sequence: parts.audit.len(),
        records,
        loaded,
        system,
        instance,
        authority,
    })
}

fn take_system_keys(stored: &mut Vec<Stored>) -> Result<SystemKeys, OpenError> {
    let at = stored
        .iter()
        .position(|s| matches!(s.record, Some(Record::SystemKeys(_))));
    let found = at.map(|at| stored.swap_remove(at).record);
    match found {
        Some(Some(Record::SystemKeys(keys))) => Ok(keys),
        _ => Err(LoadError::SystemKeysDamaged.into()),
    }
}

fn take_authority(stored: &mut Vec<Stored>) -> Option<Authority> {
    let is_it = |stored: &Stored| matches!(stored.record, Some(Record::Authority(_)));
    let at = stored.iter().position(is_it)?;
    let Some(Record::Authority(record)) = stored.swap_remove(at).record else {
        return None;
    };
    let opened = Authority::open(&record);
    opened
        .inspect_err(|error| tracing::error!(%error, "the built-in authority is not usable"))
        .ok()
}

fn usage(stored: &[Stored]) -> Vec<((KeyId, VersionNumber), UsageRecord)> {
    let read = |stored: &Stored| match &stored.record {
        Some(Record::Usage(usage)) => Some((version_of(&stored.key)?, *usage)),
        _ => None,
    };
    stored.iter().filter_map(read).collect()
}

fn version_of(key: &RecordKey) -> Option<(KeyId, VersionNumber)> {
    let (id, number) = key.key.split_at_checked(16)?;
    let number = VersionNumber::new(u32::from_be_bytes(number.try_into().ok()?))?;
    Some((KeyId(id.try_into().ok()?), number))
}

/// Datasets that a damaged record belongs to. A damaged name or system record is named in the log only.
fn quarantined(keys: &[RecordKey]) -> Vec<KeyId> {
    let of = |key: &RecordKey| match key.tree {
        Tree::Dataset | Tree::Version => Some(KeyId(key.key.get(..16)?.try_into().ok()?)),
        _ => None,
    };
    let mut ids: Vec<KeyId> = keys.iter().filter_map(of).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
