//! Which shred secrets a wrap uses and which it first makes. Never makes one again for an erased name
//! unless the call says which destroyed secret the new one succeeds.

use super::material::{ID, KEY, Material};
use super::view::ShredEntry;
use super::{Refusal, SecretUse, View, index};
use crate::cipher::HashKey;
use crate::format::wrapped::{SECRETS_MAX, SecretRef};
use crate::key::record::{
    DatasetPolicy, Expect, Record, RecordKey, ShredRecord, ShredState, Write,
};
use crate::name::{SecretId, ShredScope};
use crate::reason::Reason;
use crate::secret::ShredSecret;
use crate::time::Timestamp;
use std::collections::HashMap;

/// A scope, judged against what was gathered.
pub(super) enum Judged<'v> {
    /// There is one, in use.
    Use(&'v ShredEntry),
    /// One is to be made.
    Create(Fresh),
}

/// How a new secret comes to its name.
pub(super) struct Fresh {
    succeeds: Option<SecretId>,
    name: Expect,
}

/// May the scope's secret be used, or one be made?
pub(super) fn judge<'v>(
    view: &View<'v>,
    scope: &ShredScope,
    create_if_absent: bool,
    succeeds: Option<SecretId>,
) -> Result<Judged<'v>, Refusal> {
    // the road gathers every scope of the call; one that is not there at all is its defect
    let named = view.by_scope.get(scope).ok_or(Reason::Internal)?;
    let Some(named) = named else {
        if !create_if_absent {
            return Err(Reason::ShredSecretMissing.into());
        }
        if succeeds.is_some() {
            return Err(Refusal::field(
                "succeeds_id",
                "the id of the destroyed secret of this scope",
            ));
        }
        let name = Expect::Absent;
        return Ok(Judged::Create(Fresh { succeeds, name }));
    };
    match named.entry.state {
        ShredState::Active => Ok(Judged::Use(&named.entry)),
        ShredState::Destroyed { .. } if create_if_absent && succeeds == Some(named.entry.id) => {
            let name = Expect::Unchanged(named.name_revision);
            Ok(Judged::Create(Fresh { succeeds, name }))
        }
        ShredState::Blocked { .. } | ShredState::Destroyed { .. } => {
            Err(Reason::SubjectErased.into())
        }
    }
}

/// Notes those of `scopes` that were gathered and found absent.
pub(super) fn complete<'a>(
    view: &View<'_>,
    scopes: impl IntoIterator<Item = &'a ShredScope>,
) -> Creations<'a> {
    let mut creations = Creations::default();
    for scope in scopes {
        if matches!(view.by_scope.get(scope), Some(None)) {
            let (succeeds, name) = (None, Expect::Absent);
            creations.add(scope, Fresh { succeeds, name });
        }
    }
    creations
}

/// A shred secret that takes part in one wrap.
#[derive(Clone, Copy)]
pub(super) enum Part<'v> {
    /// One that was gathered.
    Existing(&'v ShredEntry),
    /// The creation of this number.
    New(usize),
}

struct Creation<'a> {
    scope: &'a ShredScope,
    fresh: Fresh,
    id: SecretId,
    secret: Option<ShredSecret>,
}

/// Secrets that a call makes; items that name the same scope share one.
#[derive(Default)]
pub(super) struct Creations<'a> {
    list: Vec<Creation<'a>>,
    by_scope: HashMap<&'a ShredScope, usize>,
}

/// Chooses an item's parts by the dataset's policy, and notes what is to be made. A refused item leaves
/// nothing behind.
pub(super) fn choose<'v, 'a>(
    view: &View<'v>,
    policy: &DatasetPolicy,
    uses: &'a [SecretUse],
    creations: &mut Creations<'a>,
) -> Result<Vec<Part<'v>>, Refusal> {
    check_uses(policy, uses)?;
    let mut judged = Vec::with_capacity(uses.len());
    for (position, wanted) in uses.iter().enumerate() {
        let SecretUse {
            scope,
            create_if_absent,
            succeeds,
        } = wanted;
        judged.push(
            judge(view, scope, *create_if_absent, *succeeds)
                .map_err(|refusal| refusal.within(&format!("shred_secrets[{position}]")))?,
        );
    }
    let parts = uses
        .iter()
        .zip(judged)
        .map(|(wanted, judged)| match judged {
            Judged::Use(entry) => Part::Existing(entry),
            Judged::Create(fresh) => Part::New(creations.add(&wanted.scope, fresh)),
        });
    Ok(parts.collect())
}

fn check_uses(policy: &DatasetPolicy, uses: &[SecretUse]) -> Result<(), Refusal> {
    if uses.len() > SECRETS_MAX {
        return Err(Refusal::field("shred_secrets", "at most 4"));
    }
    for (position, wanted) in uses.iter().enumerate() {
        if uses
            .iter()
            .skip(position + 1)
            .any(|u| u.scope == wanted.scope)
        {
            return Err(Refusal::field("shred_secrets", "distinct scopes"));
        }
        if !policy.retention_classes.contains(&wanted.scope.class) {
            return Err(Refusal::field(
                format!("shred_secrets[{position}].scope.retention_class"),
                "one of the dataset's retention classes",
            ));
        }
    }
    let mut demanded = policy.required_secrets.iter();
    if demanded.any(|kind| uses.iter().all(|wanted| wanted.scope.kind != *kind)) {
        let mut refusal = Refusal::field("shred_secrets", "every kind that the dataset demands");
        refusal.reason = Reason::ShredSecretRequired;
        return Err(refusal);
    }
    Ok(())
}

impl<'a> Creations<'a> {
    /// Notes one; the number of the one noted before for the same scope.
    pub(super) fn add(&mut self, scope: &'a ShredScope, fresh: Fresh) -> usize {
        let number = self.list.len();
        let found = *self.by_scope.entry(scope).or_insert(number);
        if found == number {
            self.list.push(Creation {
                scope,
                fresh,
                id: SecretId([0; ID]),
                secret: None,
            });
        }
        found
    }

    /// Bytes of key material that [`Self::fill`] takes.
    pub(super) const fn material_len(&self) -> usize {
        self.list.len() * (ID + KEY)
    }

    /// Gives each its id and secret.
    pub(super) fn fill(&mut self, material: &mut Material) -> Result<(), Reason> {
        for creation in &mut self.list {
            creation.id = SecretId(*material.take()?);
            creation.secret = Some(ShredSecret::take_bytes(material.take::<KEY>()?));
        }
        Ok(())
    }

    /// Id and secret of a part.
    pub(super) fn resolve<'s>(
        &'s self,
        part: Part<'s>,
    ) -> Result<(SecretRef, &'s ShredSecret), Reason> {
        let (scope, id, secret) = match part {
            Part::Existing(entry) => (&entry.scope, entry.id, entry.secret.as_ref()),
            Part::New(number) => {
                let creation = self.list.get(number).ok_or(Reason::Internal)?;
                (creation.scope, creation.id, creation.secret.as_ref())
            }
        };
        let kind = scope.kind;
        Ok((SecretRef { kind, id }, secret.ok_or(Reason::Internal)?))
    }

    /// The id of creation `number`, and what it succeeds.
    pub(super) fn made(&self, number: usize) -> Result<(SecretId, Option<SecretId>), Reason> {
        let creation = self.list.get(number).ok_or(Reason::Internal)?;
        Ok((creation.id, creation.fresh.succeeds))
    }

    /// The ids of all.
    pub(super) fn ids(&self) -> Vec<SecretId> {
        self.list.iter().map(|creation| creation.id).collect()
    }

    /// Two writes for each: the secret, and the name that leads to it.
    pub(super) fn into_writes(self, index: &HashKey, now: Timestamp) -> Vec<Write> {
        let mut writes = Vec::with_capacity(self.list.len() * 2);
        for creation in self.list {
            writes.push(Write {
                key: index::shred_name_key(index, creation.scope),
                expect: creation.fresh.name,
                record: Some(Record::ShredName(creation.id)),
            });
            writes.push(Write {
                key: RecordKey::shred(creation.id),
                expect: Expect::Absent,
                record: Some(Record::Shred(ShredRecord {
                    id: creation.id,
                    scope: creation.scope.clone(),
                    state: ShredState::Active,
                    created_at: now,
                    succeeds: creation.fresh.succeeds,
                    secret: creation.secret,
                })),
            });
        }
        writes
    }
}
