//! Wraps, each opened again before it is handed out, and opens. The only place of the engine where keys
//! meet plaintexts; never tries a blob against more than the key it names.

use super::view::View;
use crate::cipher::{MessageKey, constant_time_eq};
use crate::entropy::Entropy;
use crate::format::wrapped::{self, BlobKind, Header, SecretRef, input_key};
use crate::key::record::ShredState;
use crate::key::state;
use crate::name::{KeyContext, KeyId, VersionNumber};
use crate::reason::Reason;
use crate::secret::ShredSecret;
use zeroize::Zeroizing;

use super::snapshot::{Dataset, InputKeys, Version};

/// A shred secret as a header names it, with its bytes.
pub(super) type Secret<'a> = (SecretRef, &'a ShredSecret);

/// The dataset and its ACTIVE version.
pub(super) fn wrapping_version<'v>(
    view: &View<'v>,
    dataset: Option<KeyId>,
) -> Result<(&'v Dataset, &'v Version), Reason> {
    let dataset = usable(view, dataset)?;
    // exactly one is ACTIVE while a dataset is in use, so without one it is not
    let version = dataset.active_version().ok_or(Reason::VersionState)?;
    Ok((dataset, version))
}

/// The dataset that the proof is about, not quarantined.
pub(super) fn usable<'v>(view: &View<'v>, dataset: Option<KeyId>) -> Result<&'v Dataset, Reason> {
    let dataset = dataset.and_then(|id| view.snapshot.by_id(id));
    let dataset = dataset.ok_or(Reason::Denied)?;
    if dataset.quarantined {
        return Err(Reason::Quarantined);
    }
    Ok(dataset)
}

/// Wraps item after item; keys are derived again only when version or secrets differ from the last one's.
#[derive(Default)]
pub(super) struct Wrapper(Option<Keys>);

struct Keys {
    kind: BlobKind,
    key_id: KeyId,
    version: VersionNumber,
    secrets: Vec<SecretRef>,
    /// `None` for n = 0, where the version's own cached key wraps.
    wrap: Option<MessageKey>,
    /// Derived afresh and apart from the one that wraps.
    check: MessageKey,
}

impl Wrapper {
    /// Wraps `plaintext` under `version` and opens the result again, from its bytes and under a key
    /// derived apart, before it is returned.
    ///
    /// # Errors
    /// INTERNAL when it does not open to the same bytes: nothing of it may be answered.
    pub(super) fn wrap(
        &mut self,
        kind: BlobKind,
        version: &Version,
        mut secrets: Vec<Secret<'_>>,
        context: &KeyContext,
        plaintext: &[u8],
        salts: &dyn Entropy,
    ) -> Result<Vec<u8>, Reason> {
        secrets.sort_unstable_by_key(|(name, _)| *name);
        let names = secrets.iter().map(|(name, _)| *name).collect();
        let record = &version.record;
        let header = Header::new(kind, record.key_id, record.number, names)
            .map_err(|_| Reason::InvalidArgument)?;
        let cached = version.input_keys.as_ref().ok_or(Reason::Internal)?;
        let keys = self.keys(&header, version, &secrets)?;
        let key = keys.wrap.as_ref().unwrap_or_else(|| cached.of(kind));
        let blob = wrapped::wrap(&header, key, context, plaintext, salts)?;
        let (read, message) = Header::parse(&blob).map_err(|_| Reason::Internal)?;
        let opened =
            wrapped::unwrap(&read, &keys.check, context, message).map_err(|_| Reason::Internal)?;
        if read == header && constant_time_eq(&opened, plaintext) {
            Ok(blob)
        } else {
            Err(Reason::Internal)
        }
    }

    fn keys(
        &mut self,
        header: &Header,
        version: &Version,
        secrets: &[Secret<'_>],
    ) -> Result<&Keys, Reason> {
        let fits = |keys: &Keys| {
            keys.kind == header.kind
                && keys.key_id == header.key_id
                && keys.version == header.version
                && keys.secrets == header.secrets()
        };
        let keys = match self.0.take() {
            Some(keys) if fits(&keys) => keys,
            _ => {
                let key = version.record.key.as_ref().ok_or(Reason::Internal)?;
                let bytes: Vec<_> = secrets.iter().map(|(_, secret)| *secret).collect();
                Keys {
                    kind: header.kind,
                    key_id: header.key_id,
                    version: header.version,
                    secrets: header.secrets().to_vec(),
                    wrap: (!bytes.is_empty()).then(|| input_key(header.kind, key, &bytes)),
                    check: input_key(header.kind, key, &bytes),
                }
            }
        };
        Ok(self.0.insert(keys))
    }
}

impl InputKeys {
    const fn of(&self, kind: BlobKind) -> &MessageKey {
        match kind {
            BlobKind::DataKey => &self.data_key,
            BlobKind::Ciphertext => &self.ciphertext,
        }
    }
}

/// What a blob held, and under what.
pub(super) struct Opened<'v> {
    pub(super) dataset: &'v Dataset,
    pub(super) version: &'v Version,
    pub(super) secrets: Vec<Secret<'v>>,
    pub(super) plaintext: Zeroizing<Vec<u8>>,
}

impl Opened<'_> {
    /// The version is the ACTIVE one.
    pub(super) fn is_active(&self) -> bool {
        self.dataset.active == Some(self.version.record.number)
    }

    /// The version is marked compromised.
    pub(super) const fn is_compromised(&self) -> bool {
        self.version.record.compromised.is_some()
    }
}

/// Opens a blob of `dataset`. States are decided before anything is opened.
///
/// # Errors
/// QUARANTINED; VERSION_DISABLED, VERSION_DESTROYED, SUBJECT_ERASED; UNDECRYPTABLE for all else.
pub(super) fn open<'v>(
    view: &View<'v>,
    dataset: Option<KeyId>,
    header: &Header,
    message: &[u8],
    context: &KeyContext,
) -> Result<Opened<'v>, Reason> {
    let dataset = usable(view, dataset)?;
    if dataset.record.key_id != header.key_id {
        return Err(Reason::Undecryptable);
    }
    let version = dataset
        .versions
        .get(&header.version)
        .ok_or(Reason::Undecryptable)?;
    state::readable(version.record.state)?;
    let secrets = secrets_of(view, header)?;
    let cached = version.input_keys.as_ref().ok_or(Reason::Internal)?;
    let derived;
    let key = if secrets.is_empty() {
        cached.of(header.kind)
    } else {
        let version_key = version.record.key.as_ref().ok_or(Reason::Internal)?;
        let bytes: Vec<_> = secrets.iter().map(|(_, secret)| *secret).collect();
        derived = input_key(header.kind, version_key, &bytes);
        &derived
    };
    let plaintext =
        wrapped::unwrap(header, key, context, message).map_err(|_| Reason::Undecryptable)?;
    Ok(Opened {
        dataset,
        version,
        secrets,
        plaintext,
    })
}

fn secrets_of<'v>(view: &View<'v>, header: &Header) -> Result<Vec<Secret<'v>>, Reason> {
    let mut secrets = Vec::with_capacity(header.secrets().len());
    for name in header.secrets() {
        // the road gathers every secret that a header names; one not there at all is its defect
        let gathered = view.by_id.get(&name.id).ok_or(Reason::Internal)?;
        let entry = gathered.as_ref().ok_or(Reason::Undecryptable)?;
        if entry.scope.kind != name.kind {
            return Err(Reason::Undecryptable);
        }
        match entry.state {
            ShredState::Active => {}
            ShredState::Blocked { .. } | ShredState::Destroyed { .. } => {
                return Err(Reason::SubjectErased);
            }
        }
        secrets.push((*name, entry.secret.as_ref().ok_or(Reason::Internal)?));
    }
    Ok(secrets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cipher::system_entropy::SystemEntropy;
    use crate::key::record::{Revision, VersionRecord, VersionState};
    use crate::name::{SecretId, SecretKind};
    use crate::secret::VersionKey;
    use crate::time::Timestamp;

    fn version(number: u32, key: u8, cached: u8) -> Version {
        let cached = VersionKey::take_bytes(&mut [cached; 32]);
        Version {
            record: VersionRecord {
                key_id: KeyId([1; 16]),
                number: VersionNumber::new(number).unwrap(),
                state: VersionState::Active,
                compromised: None,
                created_at: Timestamp::default(),
                key: Some(VersionKey::take_bytes(&mut [key; 32])),
            },
            revision: Revision(1),
            input_keys: Some(InputKeys {
                data_key: input_key(BlobKind::DataKey, &cached, &[]),
                ciphertext: input_key(BlobKind::Ciphertext, &cached, &[]),
            }),
        }
    }

    fn wrap(
        wrapper: &mut Wrapper,
        version: &Version,
        secrets: Vec<Secret<'_>>,
    ) -> Result<Vec<u8>, Reason> {
        let context = KeyContext::default();
        wrapper.wrap(
            BlobKind::DataKey,
            version,
            secrets,
            &context,
            &[5; 32],
            &SystemEntropy::new(),
        )
    }

    #[test]
    fn a_wrap_that_the_version_key_does_not_open_is_never_answered() {
        // as if a cached key were damaged in memory, or filed under another version
        assert!(wrap(&mut Wrapper::default(), &version(1, 7, 7), Vec::new()).is_ok());
        let damaged = wrap(&mut Wrapper::default(), &version(1, 7, 8), Vec::new());
        assert_eq!(damaged, Err(Reason::Internal));
    }

    #[test]
    fn keys_are_not_kept_for_other_secrets_or_versions() {
        let one = ShredSecret::take_bytes(&mut [1; 32]);
        let two = ShredSecret::take_bytes(&mut [2; 32]);
        let name = |byte| SecretRef {
            kind: SecretKind::Subject,
            id: SecretId([byte; 16]),
        };
        let mut wrapper = Wrapper::default();
        let (old, new) = (version(1, 7, 7), version(2, 9, 9));
        for (version, parts) in [
            (&old, vec![(name(1), &one)]),
            (&old, vec![(name(2), &two)]),
            (&old, vec![(name(2), &two), (name(1), &one)]),
            (&new, vec![(name(1), &one), (name(2), &two)]),
            (&new, vec![]),
            (&old, vec![]),
        ] {
            let blob = wrap(&mut wrapper, version, parts.clone()).unwrap();
            let (header, message) = Header::parse(&blob).unwrap();
            let mut sorted = parts;
            sorted.sort_unstable_by_key(|(name, _)| *name);
            let secrets: Vec<_> = sorted.iter().map(|(_, secret)| *secret).collect();
            let key = version.record.key.as_ref().unwrap();
            let input = input_key(BlobKind::DataKey, key, &secrets);
            let opened = wrapped::unwrap(&header, &input, &KeyContext::default(), message);
            assert_eq!(opened.unwrap().as_slice(), [5; 32]);
        }
    }
}
