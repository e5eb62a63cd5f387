//! Gathers what a call needs beside the snapshot: shred secrets from the cache or, missing there, from the
//! store. Only after the call is authorised. What is committed but not yet logged is waited for, not shown.

use super::Live;
use super::shred_cache::{Found, ScopeHash};
use super::state::{Held, shred_entry};
use crate::store::{ReadError, Records, StoreError};
use kms_core::engine::index::{request_key, shred_name_key};
use kms_core::engine::{Idempotency, Named, ShredEntry, idempotency};
use kms_core::key::record::{Record, RecordKey, Revision, Stored};
use kms_core::name::{PrincipalName, RequestId, SecretId, ShredScope};
use kms_core::policy::Action;
use kms_core::reason::Reason;
use kms_core::time::Timestamp;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Shred secrets for one call.
#[derive(Debug, Default)]
pub struct Gathered {
    /// By scope: `None` where there is none.
    pub by_scope: HashMap<ShredScope, Option<Named>>,
    /// By id: `None` where there is none.
    pub by_id: HashMap<SecretId, Option<Arc<ShredEntry>>>,
}

/// A record key and hash for a scope.
fn hash_of(key: &RecordKey) -> ScopeHash {
    ScopeHash::try_from(&*key.key).unwrap_or_default()
}

fn reason(error: &ReadError) -> Reason {
    match error {
        ReadError::Store(StoreError::Full) | ReadError::Store(_) => Reason::StoreUnavailable,
        ReadError::Damaged(_) => Reason::Quarantined,
    }
}

impl Live {
    /// Gathers the secrets of these scopes and ids.
    ///
    /// # Errors
    /// STORE_UNAVAILABLE; QUARANTINED when a record that is needed is damaged; CONFLICT when a restriction came
    /// between: let go of the snapshot and begin again.
    pub async fn gather(
        &self,
        held: &Held,
        scopes: &[ShredScope],
        ids: &[SecretId],
    ) -> Result<Gathered, Reason> {
        let mut gathered = Gathered::default();
        if !ids.is_empty() {
            let ids: Vec<SecretId> = distinct(ids);
            self.by_id(held, &ids, &mut gathered.by_id).await?;
        }
        if !scopes.is_empty() {
            let scopes: Vec<ShredScope> = distinct(scopes);
            self.by_scope(held, scopes, &mut gathered.by_scope).await?;
        }
        Ok(gathered)
    }

    async fn by_id(
        &self,
        held: &Held,
        ids: &[SecretId],
        into: &mut HashMap<SecretId, Option<Arc<ShredEntry>>>,
    ) -> Result<(), Reason> {
        let mut missing = Vec::new();
        for (id, entry) in ids.iter().zip(self.state.cache.by_id(ids)) {
            match entry {
                Some(entry) => drop(into.insert(*id, Some(entry))),
                None => missing.push(*id),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let work = move |records: &Records| {
            let read = |id| Ok((id, read_secret(records, id)?));
            missing
                .into_iter()
                .map(read)
                .collect::<Result<Vec<_>, ReadError>>()
        };
        let read = self.read(work).await?;
        let newest = read
            .iter()
            .filter_map(|(_, e)| Some(e.as_ref()?.revision))
            .max();
        self.wait_until_visible(held.generation(), newest).await?;
        let found = read.iter().filter_map(|(_, entry)| {
            let entry = Arc::clone(entry.as_ref()?);
            Some(Found { entry, name: None })
        });
        self.state.cache.fill(held.generation(), found);
        into.extend(read);
        Ok(())
    }

    async fn by_scope(
        &self,
        held: &Held,
        scopes: Vec<ShredScope>,
        into: &mut HashMap<ShredScope, Option<Named>>,
    ) -> Result<(), Reason> {
        let keys: Vec<_> = scopes
            .iter()
            .map(|s| shred_name_key(&self.keys.index, s))
            .collect();
        let hashes: Vec<_> = keys.iter().map(hash_of).collect();
        let mut missing = Vec::new();
        let cached = self.state.cache.by_scope(&hashes);
        for ((scope, key), named) in scopes.into_iter().zip(keys).zip(cached) {
            match named {
                Some(named) => drop(into.insert(scope, Some(named))),
                None => missing.push((scope, key)),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let work = move |records: &Records| {
            let read = |(scope, key)| {
                let named = read_named(records, &key)?;
                Ok((scope, hash_of(&key), named))
            };
            missing
                .into_iter()
                .map(read)
                .collect::<Result<Vec<_>, ReadError>>()
        };
        let read = self.read(work).await?;
        let newest = read.iter().filter_map(|(_, _, n)| n.as_ref());
        let newest = newest.map(|n| n.entry.revision.max(n.name_revision)).max();
        self.wait_until_visible(held.generation(), newest).await?;
        let found = read.iter().filter_map(|(_, hash, named)| {
            let named = named.as_ref()?;
            Some(Found {
                entry: Arc::clone(&named.entry),
                name: Some((*hash, named.name_revision)),
            })
        });
        self.state.cache.fill(held.generation(), found);
        into.extend(read.into_iter().map(|(scope, _, named)| (scope, named)));
        Ok(())
    }

    /// The outcome of the caller's request id, as far as the store knows one that is not older than a day.
    ///
    /// # Errors
    /// As [`Live::gather`].
    pub async fn idempotency(
        &self,
        held: &Held,
        principal: &PrincipalName,
        action: Action,
        request_id: RequestId,
        fingerprint: [u8; 32],
        now: Timestamp,
    ) -> Result<Idempotency, Reason> {
        let key = request_key(&self.keys.index, principal, action, request_id);
        let wanted = key.clone();
        let read = self.read(move |records| records.get(&wanted)).await?;
        let mut found = Idempotency {
            key,
            fingerprint,
            prior: None,
            replaces: None,
        };
        let Some(Stored {
            revision,
            record: Some(Record::Request(record)),
            ..
        }) = read
        else {
            return Ok(found);
        };
        self.wait_until_visible(held.generation(), Some(revision))
            .await?;
        if now.since(record.at) < idempotency::KEPT {
            found.prior = Some(record);
        } else {
            found.replaces = Some(revision);
        }
        Ok(found)
    }

    /// One trip to the store.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Records) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, Reason> {
        let records = self.records.clone();
        let done = tokio::task::spawn_blocking(move || work(&records)).await;
        let read = done.map_err(|_| Reason::Internal)?;
        read.map_err(|error| {
            tracing::error!(%error, "a shred secret cannot be read");
            reason(&error)
        })
    }

    /// Waits for what was read but is not logged yet. Not under an older generation: a restriction waits for
    /// its calls, and what they wait for may lie behind it.
    async fn wait_until_visible(
        &self,
        generation: u64,
        newest: Option<Revision>,
    ) -> Result<(), Reason> {
        let Some(revision) = newest.filter(|revision| !self.publisher.is_visible(*revision)) else {
            return Ok(());
        };
        let is_stale = || self.state.generation() != generation;
        if self.publisher.visible_unless(revision, is_stale).await {
            Ok(())
        } else {
            Err(Reason::Conflict)
        }
    }
}

fn distinct<T: Clone + Eq + std::hash::Hash>(all: &[T]) -> Vec<T> {
    if let [one] = all {
        return vec![one.clone()];
    }
    let mut seen = HashSet::with_capacity(all.len());
    all.iter()
        .filter(|one| seen.insert(*one))
        .cloned()
        .collect()
}

fn read_secret(records: &Records, id: SecretId) -> Result<Option<Arc<ShredEntry>>, ReadError> {
    let stored = records.get(&RecordKey::shred(id))?;
    let Some(Stored {
        revision,
        record: Some(Record::Shred(record)),
        ..
    }) = stored
    else {
        return Ok(None);
    };
    Ok(Some(Arc::new(shred_entry(revision, record))))
}

fn read_named(records: &Records, key: &RecordKey) -> Result<Option<Named>, ReadError> {
    let Some(Stored {
        revision,
        record: Some(Record::ShredName(id)),
        ..
    }) = records.get(key)?
    else {
        return Ok(None);
    };
    // a name that leads nowhere is damage, not absence: nothing may be made in its place
    let entry =
        read_secret(records, id)?.ok_or_else(|| ReadError::Damaged(RecordKey::shred(id)))?;
    Ok(Some(Named {
        name_revision: revision,
        entry,
    }))
}
