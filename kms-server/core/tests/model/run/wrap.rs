//! Data keys and ciphertexts: made and wrapped again. Opening them is an invariant.

use super::Run;
use crate::naive::{self, Blob, Secret};
use crate::operation::Use;
use crate::world::allowed;
use kms_core::engine::{
    EncryptItem, GenerateItem, RewrapItem, SecretUse, encrypt, generate_data_key,
    generate_data_keys, parse_blob, rewrap,
};
use kms_core::format::wrapped::{BlobKind, Header};
use kms_core::name::{KeyId, ReasonText, SecretId, VersionNumber};
use kms_core::policy::Action;
use kms_core::reason::Reason;

impl Run {
    pub(super) fn generate(
        &mut self,
        dataset: u8,
        id: KeyId,
        items: &[(u8, Vec<Use>)],
        batch: bool,
    ) {
        let now = self.world.now;
        let items: Vec<(u8, Vec<SecretUse>)> = items
            .iter()
            .map(|(context, uses)| {
                (
                    *context,
                    uses.iter()
                        .map(|u| self.model.secret_use(*u, now))
                        .collect(),
                )
            })
            .collect();
        let scopes: Vec<_> = items
            .iter()
            .flat_map(|(_, uses)| uses.iter().map(|u| u.scope.clone()))
            .collect();
        let refused: Vec<_> = items
            .iter()
            .map(|(_, uses)| self.model.refuses_wrap(dataset, uses))
            .collect();
        let gathered = self.world.gather(&scopes, &[]);
        let (view, moment) = (self.world.view(&gathered), self.world.moment());
        let asked: Vec<_> = items.iter().map(generate_item).collect();
        let replies = if batch {
            let asked = asked.into_iter().map(|item| Ok((allowed(Some(id)), item)));
            let result = generate_data_keys(&view, &moment, &asked.collect::<Vec<_>>());
            let whole: &[Reason] = match items.len() {
                0 => &[Reason::InvalidArgument],
                _ => &[],
            };
            if let Ok(decision) = &result {
                let counted: u32 = decision.facts.details.iter().map(|d| d.count).sum();
                assert_eq!(usize::try_from(counted).unwrap(), items.len());
            }
            let replies = self.settle(Action::GenerateDataKey, Some(id), result, whole);
            replies.unwrap_or_default()
        } else {
            let result = generate_data_key(&view, &moment, &allowed(Some(id)), &asked[0]);
            let key = self.settle(Action::GenerateDataKey, Some(id), result, &refused[0]);
            vec![key.ok_or(Reason::Internal.into())]
        };
        for ((reply, refused), (context, uses)) in replies.into_iter().zip(refused).zip(items) {
            match reply {
                Err(refusal) if batch => assert!(
                    refused.contains(&refusal.reason),
                    "{refusal:?}, not {refused:?}"
                ),
                Err(_) => {}
                Ok(key) => {
                    assert!(refused.is_empty(), "made, not refused with {refused:?}");
                    let plaintext = key.plaintext.expose_bytes().to_vec();
                    self.wrapped(
                        key.wrapped,
                        false,
                        dataset,
                        key.version,
                        context,
                        &uses,
                        plaintext,
                    );
                }
            }
        }
    }

    pub(super) fn encrypt(&mut self, dataset: u8, id: KeyId, context: u8, uses: &[Use]) {
        let now = self.world.now;
        let uses: Vec<_> = uses
            .iter()
            .map(|u| self.model.secret_use(*u, now))
            .collect();
        let scopes: Vec<_> = uses.iter().map(|u| u.scope.clone()).collect();
        let gathered = self.world.gather(&scopes, &[]);
        let plaintext = format!("note {} of {now:?}", self.model.blobs.len()).into_bytes();
        let item = EncryptItem {
            plaintext: &plaintext,
            context: naive::context(context),
            secrets: uses.clone(),
        };
        let result = encrypt(
            &self.world.view(&gathered),
            &self.world.moment(),
            &allowed(Some(id)),
            &item,
        );
        let refused = self.model.refuses_wrap(dataset, &uses);
        if let Some(made) = self.settle(Action::Encrypt, Some(id), result, &refused) {
            self.wrapped(
                made.ciphertext,
                true,
                dataset,
                made.version,
                context,
                &uses,
                plaintext.clone(),
            );
        }
    }

    #[expect(clippy::too_many_arguments, reason = "each is a part of the blob")]
    fn wrapped(
        &mut self,
        bytes: Vec<u8>,
        direct: bool,
        dataset: u8,
        version: VersionNumber,
        context: u8,
        uses: &[SecretUse],
        plaintext: Vec<u8>,
    ) {
        let known = &self.model.datasets[&dataset];
        assert_eq!(
            usize::try_from(version.get()).unwrap(),
            known.versions.len(),
            "the ACTIVE one wraps"
        );
        let secrets: Vec<_> = uses.iter().map(|wanted| self.found(wanted)).collect();
        let (header, _) = Header::parse(&bytes).unwrap();
        let mut named: Vec<_> = header.secrets().iter().map(|s| s.id).collect();
        let mut wanted = secrets.clone();
        named.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(named, wanted);
        self.model.blobs.push(Blob {
            bytes,
            direct,
            dataset,
            version: version.get(),
            context,
            secrets,
            plaintext,
        });
    }

    /// The scope's secret after a call that used it; the model learns of a new one.
    pub(super) fn found(&mut self, wanted: &SecretUse) -> SecretId {
        let entry = self
            .world
            .newest(&wanted.scope)
            .expect("used, so there is one");
        if !self.model.secrets.contains_key(&entry.id) {
            assert!(wanted.create_if_absent, "made without being asked");
            assert_eq!(
                entry.succeeds,
                self.model.newest.get(&wanted.scope).copied()
            );
            self.model.secrets.insert(entry.id, Secret::Live);
            self.model.newest.insert(wanted.scope.clone(), entry.id);
        }
        entry.id
    }

    pub(super) fn rewrap(&mut self, blob: u8, keep: bool) {
        let wrapped: Vec<_> = self
            .model
            .blobs
            .iter()
            .filter(|b| !b.direct)
            .cloned()
            .collect();
        let Some(old) = wrapped.get(usize::from(blob) % wrapped.len().max(1)) else {
            return;
        };
        let known = &self.model.datasets[&old.dataset];
        let (id, newest) = (known.id, u32::try_from(known.versions.len()).unwrap());
        let (header, message) = parse_blob(BlobKind::DataKey, &old.bytes).unwrap();
        let gathered = self.world.gather(&[], &old.secrets);
        let item = RewrapItem {
            blob: &old.bytes,
            header,
            message,
            context: naive::context(old.context),
            keep_data_key: keep.then(|| ReasonText::parse("archive").unwrap()),
        };
        let result = rewrap(
            &self.world.view(&gathered),
            &self.world.moment(),
            &allowed(Some(id)),
            &item,
        );
        let marked = self.model.version(old.dataset, old.version).unwrap().marked;
        let refused = match self.model.refuses_open(old) {
            Some(reason) => vec![reason],
            None if marked && !keep => vec![Reason::CompromisedVersion],
            None => vec![],
        };
        let Some(new) = self.settle(Action::Rewrap, Some(id), result, &refused) else {
            return;
        };
        assert_eq!(new.version.get(), newest);
        assert_eq!(new.rewrapped, old.version != newest);
        assert_eq!(new.wrapped.len(), old.bytes.len());
        assert_eq!(new.wrapped == old.bytes, !new.rewrapped);
        self.model.blobs.push(Blob {
            bytes: new.wrapped,
            version: newest,
            ..old.clone()
        });
    }
}

fn generate_item((context, uses): &(u8, Vec<SecretUse>)) -> GenerateItem {
    GenerateItem {
        context: naive::context(*context),
        secrets: uses.clone(),
    }
}
