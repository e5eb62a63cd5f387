//! What holds after every step, whatever happened.

use crate::naive::{self, Blob, Model, Secret, State};
use crate::world::{World, allowed};
use kms_core::cipher::sha256;
use kms_core::engine::{DecryptItem, Snapshot, UnwrapItem, decrypt, parse_blob, unwrap_data_key};
use kms_core::format::wrapped::{BlobKind, Header, SecretRef};
use kms_core::key::record::{Record, Tree, VersionState};
use kms_core::name::{KeyId, SecretId};
use kms_core::reason::Reason;
use std::collections::HashMap;

/// Keys and secrets seen so far, by hash: a number never gets another key, a destroyed one never a key again.
#[derive(Default)]
pub(crate) struct Watch {
    versions: HashMap<(KeyId, u32), Option<[u8; 32]>>,
    secrets: HashMap<SecretId, Option<[u8; 32]>>,
    steps: usize,
}

impl Watch {
    pub(crate) fn check(&mut self, world: &World, model: &Model) {
        self.steps += 1;
        states(&world.snapshot, model);
        states(&world.reloaded(), model);
        self.records(world);
        for blob in &model.blobs {
            let expected = match model.refuses_open(blob) {
                None => Ok(blob.plaintext.clone()),
                Some(reason) => Err(reason),
            };
            assert_eq!(opened(world, model, blob), expected);
        }
        // one blob a step is enough for what costs more
        if let Some(blob) = model.blobs.get(self.steps % model.blobs.len().max(1)) {
            nothing_crosses(world, model, blob);
        }
    }

    fn records(&mut self, world: &World) {
        for (bytes, tree) in world
            .store
            .iter()
            .map(|(key, (_, bytes))| (bytes, key.tree))
        {
            if !matches!(tree, Tree::Version | Tree::Shred) {
                continue;
            }
            let (seen, now) = match Record::decode(bytes).unwrap() {
                Record::Version(version) => {
                    let hash = version.key.as_ref().map(|k| sha256(&[k.expose_bytes()]));
                    let name = (version.key_id, version.number.get());
                    (self.versions.entry(name).or_insert(hash), hash)
                }
                Record::Shred(shred) => {
                    let hash = shred.secret.as_ref().map(|s| sha256(&[s.expose_bytes()]));
                    (self.secrets.entry(shred.id).or_insert(hash), hash)
                }
                other => panic!("{other:?} in the tree of another"),
            };
            // the same key as ever, or gone; once gone, gone
            assert!(
                now == *seen || now.is_none(),
                "another key under an old name"
            );
            *seen = now;
        }
    }
}

/// The snapshot says of each dataset what the model says.
fn states(snapshot: &Snapshot, model: &Model) {
    assert_eq!(snapshot.len(), model.datasets.len());
    for known in model.datasets.values() {
        let dataset = snapshot.by_id(known.id).unwrap();
        assert_eq!(dataset.record.deletion_protection, known.protected);
        assert_eq!(dataset.versions.len(), known.versions.len());
        let active = dataset
            .versions
            .values()
            .filter(|v| v.record.state == VersionState::Active);
        assert_eq!(active.count(), 1);
        for (version, expected) in dataset.versions.values().zip(&known.versions) {
            let state = match version.record.state {
                VersionState::PreActive => panic!("nothing makes PRE_ACTIVE versions yet"),
                VersionState::Active => State::Wraps,
                VersionState::DecryptOnly => State::Reads,
                VersionState::Disabled => State::Off,
                VersionState::DestroyScheduled { at } => State::Doomed(at),
                VersionState::Destroyed { .. } => State::Gone,
            };
            assert_eq!(state, expected.state);
            assert_eq!(version.record.compromised.is_some(), expected.marked);
            assert_eq!(version.record.key.is_none(), state == State::Gone);
            assert_eq!(version.input_keys.is_none(), state == State::Gone);
        }
    }
}

fn opened(world: &World, model: &Model, blob: &Blob) -> Result<Vec<u8>, Reason> {
    let dataset = &model.datasets[&blob.dataset];
    let result = open(world, dataset.id, blob.direct, &blob.bytes, blob.context);
    if let Ok((_, active, compromised)) = &result {
        let version = model.version(blob.dataset, blob.version).unwrap();
        assert_eq!(*active, version.state == State::Wraps);
        assert_eq!(*compromised, version.marked);
    }
    result.map(|(plaintext, _, _)| plaintext)
}

fn open(
    world: &World,
    dataset: KeyId,
    direct: bool,
    bytes: &[u8],
    context: u8,
) -> Result<(Vec<u8>, bool, bool), Reason> {
    let kind = if direct {
        BlobKind::Ciphertext
    } else {
        BlobKind::DataKey
    };
    let (header, message) = parse_blob(kind, bytes).map_err(|refusal| refusal.reason)?;
    let ids: Vec<_> = header.secrets().iter().map(|s| s.id).collect();
    let gathered = world.gather(&[], &ids);
    let view = world.view(&gathered);
    let context = naive::context(context);
    if direct {
        let item = DecryptItem {
            header,
            message,
            context,
        };
        let made = decrypt(&view, &allowed(Some(dataset)), &item).map_err(|r| r.reason)?;
        let reply = made.reply;
        return Ok((reply.plaintext.to_vec(), reply.active, reply.compromised));
    }
    let item = UnwrapItem {
        header,
        message,
        context,
    };
    let made = unwrap_data_key(&view, &allowed(Some(dataset)), &item).map_err(|r| r.reason)?;
    let detail = &made.facts.details[0];
    assert_eq!(
        (detail.dataset, detail.secrets.len()),
        (Some(dataset), ids.len())
    );
    let reply = made.reply;
    Ok((
        reply.plaintext.expose_bytes().to_vec(),
        reply.active,
        reply.compromised,
    ))
}

/// Another context, dataset, version, kind, subject or a changed bit never opens a blob.
fn nothing_crosses(world: &World, model: &Model, blob: &Blob) {
    let home = model.datasets[&blob.dataset].id;
    let refused = |dataset, direct, bytes: &[u8], context| {
        let result = open(world, dataset, direct, bytes, context);
        assert!(result.is_err(), "opened: {blob:?}");
    };
    for context in (0..3).filter(|context| *context != blob.context) {
        refused(home, blob.direct, &blob.bytes, context);
    }
    refused(home, !blob.direct, &blob.bytes, blob.context);
    let (header, message) = Header::parse(&blob.bytes).unwrap();
    let renamed = |key_id, version, secrets| {
        let header = Header::new(header.kind, key_id, version, secrets).unwrap();
        [&header.encode(), message].concat()
    };
    for other in model.datasets.values().filter(|other| other.id != home) {
        // the proof of one dataset does not open another's blob, nor does a forged header
        refused(other.id, blob.direct, &blob.bytes, blob.context);
        let forged = renamed(other.id, header.version, header.secrets().to_vec());
        refused(other.id, blob.direct, &forged, blob.context);
    }
    let snapshot = world.snapshot.by_id(home).unwrap();
    for number in snapshot.versions.keys().filter(|n| **n != header.version) {
        let forged = renamed(home, *number, header.secrets().to_vec());
        refused(home, blob.direct, &forged, blob.context);
    }
    for (index, secret) in header.secrets().iter().enumerate() {
        let mut fewer = header.secrets().to_vec();
        fewer.remove(index);
        refused(
            home,
            blob.direct,
            &renamed(home, header.version, fewer.clone()),
            blob.context,
        );
        let live = model
            .secrets
            .iter()
            .filter(|(_, state)| **state == Secret::Live);
        for (id, _) in live.filter(|(id, _)| header.secrets().iter().all(|s| s.id != **id)) {
            let mut swapped = fewer.clone();
            swapped.push(SecretRef {
                kind: secret.kind,
                id: *id,
            });
            refused(
                home,
                blob.direct,
                &renamed(home, header.version, swapped),
                blob.context,
            );
        }
    }
    for at in [
        0,
        1,
        7,
        21,
        22,
        30,
        blob.bytes.len() / 2,
        blob.bytes.len() - 1,
    ] {
        let mut bad = blob.bytes.clone();
        bad[at] ^= 1;
        refused(home, blob.direct, &bad, blob.context);
    }
}
