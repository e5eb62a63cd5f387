//! Makes data keys. What is not wrapped and opened again is never answered.

use super::batch::{Item, RefusedItem, STEP};
use super::creation::{Creations, Part, choose};
use super::material::{KEY, Material};
use super::snapshot::Version;
use super::view::{Change, Decision, Moment, View};
use super::wrapping::{Wrapper, wrapping_version};
use super::{Refusal, SecretUse, limits};
use crate::audit::{Detail, Facts, Outcome};
use crate::format::wrapped::BlobKind;
use crate::name::{KeyContext, KeyId, SecretId, VersionNumber};
use crate::policy::{Action, Authorised, act};
use crate::reason::Reason;
use crate::secret::DataKey;

use super::Snapshot;

/// One data key to be made; its dataset stands in the proof.
#[derive(Debug)]
pub struct GenerateItem {
    /// Bound into the wrap.
    pub context: KeyContext,
    /// At most 4, with distinct scopes.
    pub secrets: Vec<SecretUse>,
}

/// A data key in the clear and wrapped.
#[derive(Debug)]
pub struct GeneratedKey {
    /// The road leaves it out where the caller asked so.
    pub plaintext: DataKey,
    /// 127 to 195 bytes.
    pub wrapped: Vec<u8>,
    /// Version that wrapped it.
    pub version: VersionNumber,
}

/// Answers of a batch, in its order.
pub type GeneratedKeys = Vec<Result<GeneratedKey, Refusal>>;

/// Makes one data key.
///
/// # Errors
/// QUARANTINED, VERSION_STATE (no ACTIVE version), INVALID_ARGUMENT, SHRED_SECRET_REQUIRED,
/// SHRED_SECRET_MISSING, SUBJECT_ERASED, INTERNAL.
pub fn generate_data_key(
    view: &View<'_>,
    moment: &Moment<'_>,
    authorised: &Authorised<act::GenerateDataKey>,
    item: &GenerateItem,
) -> Result<Decision<GeneratedKey>, Refusal> {
    let mut creations = Creations::default();
    let plan = Plan::new(view, authorised, item, &mut creations)?;
    let mut material =
        Material::draw(moment.keys, KEY + creations.material_len()).map_err(Reason::from)?;
    creations.fill(&mut material)?;
    let mut wrapper = Wrapper::default();
    let (key, secrets) = plan.make(moment, item, &creations, &mut material, &mut wrapper)?;
    let mut detail = generate_detail(view.snapshot, authorised.dataset(), item, Outcome::Ok);
    detail.version = Some(key.version);
    detail.secrets = secrets;
    Ok(Decision {
        reply: key,
        facts: Facts::single(Action::GenerateDataKey, detail),
        change: change(creations, view, moment),
    })
}

/// Makes 1 to 1,000 data keys; one item's failure is its own.
///
/// # Errors
/// INVALID_ARGUMENT for the number of items, INTERNAL without randomness.
pub fn generate_data_keys(
    view: &View<'_>,
    moment: &Moment<'_>,
    items: &[Item<act::GenerateDataKey, GenerateItem>],
) -> Result<Decision<GeneratedKeys>, Refusal> {
    let mut batch = Generating::new(view, moment, items)?;
    while batch.step() {}
    Ok(batch.finish())
}

/// What the log says of an item, but for version and secrets.
#[must_use]
pub fn generate_detail(
    snapshot: &Snapshot,
    dataset: Option<KeyId>,
    item: &GenerateItem,
    outcome: Outcome,
) -> Detail {
    wrap_detail(snapshot, dataset, &item.context, outcome)
}

/// What the log says of a wrap or an open, but for version and secrets.
pub(super) fn wrap_detail(
    snapshot: &Snapshot,
    dataset: Option<KeyId>,
    context: &KeyContext,
    outcome: Outcome,
) -> Detail {
    let mut detail = Detail::new(outcome);
    detail.dataset = dataset;
    let known = dataset.and_then(|id| snapshot.by_id(id));
    let lasting = known.map_or(&[][..], |d| &d.record.policy.lasting_context_keys);
    detail.with_context(context, lasting)
}

/// The change that a wrap's new shred secrets need; `None` when there are none.
pub(super) fn change(
    creations: Creations<'_>,
    view: &View<'_>,
    moment: &Moment<'_>,
) -> Option<Change> {
    let writes = creations.into_writes(view.index, moment.now);
    (!writes.is_empty()).then_some(Change {
        writes,
        restricts: false,
    })
}

struct Plan<'v> {
    version: &'v Version,
    parts: Vec<Part<'v>>,
}

impl<'v> Plan<'v> {
    fn new<'a>(
        view: &View<'v>,
        authorised: &Authorised<act::GenerateDataKey>,
        item: &'a GenerateItem,
        creations: &mut Creations<'a>,
    ) -> Result<Self, Refusal> {
        let (dataset, version) = wrapping_version(view, authorised.dataset())?;
        let parts = choose(view, &dataset.record.policy, &item.secrets, creations)?;
        Ok(Self { version, parts })
    }

    fn make(
        &self,
        moment: &Moment<'_>,
        item: &GenerateItem,
        creations: &Creations<'_>,
        material: &mut Material,
        wrapper: &mut Wrapper,
    ) -> Result<(GeneratedKey, Vec<SecretId>), Reason> {
        let plaintext = DataKey::take_bytes(material.take::<KEY>()?);
        let secrets = self
            .parts
            .iter()
            .map(|part| creations.resolve(*part))
            .collect::<Result<Vec<_>, _>>()?;
        let ids = secrets.iter().map(|(name, _)| name.id).collect();
        let wrapped = wrapper.wrap(
            BlobKind::DataKey,
            self.version,
            secrets,
            &item.context,
            plaintext.expose_bytes(),
            moment.salts,
        )?;
        let key = GeneratedKey {
            plaintext,
            wrapped,
            version: self.version.record.number,
        };
        Ok((key, ids))
    }
}

/// A batch that is decided in steps of 64 items, so that a runtime can do other work between them.
pub struct Generating<'a> {
    view: &'a View<'a>,
    moment: &'a Moment<'a>,
    items: &'a [Item<act::GenerateDataKey, GenerateItem>],
    plans: Vec<Option<Result<Plan<'a>, Refusal>>>,
    creations: Creations<'a>,
    material: Material,
    wrapper: Wrapper,
    replies: GeneratedKeys,
    details: Vec<Detail>,
}

impl<'a> Generating<'a> {
    /// Judges every item and draws the key material for all with one call.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for the number of items, INTERNAL without randomness.
    pub fn new(
        view: &'a View<'a>,
        moment: &'a Moment<'a>,
        items: &'a [Item<act::GenerateDataKey, GenerateItem>],
    ) -> Result<Self, Refusal> {
        limits::check_batch(items.len())?;
        let mut creations = Creations::default();
        let plans: Vec<_> = items
            .iter()
            .map(|item| {
                let (authorised, item) = item.as_ref().ok()?;
                Some(Plan::new(view, authorised, item, &mut creations))
            })
            .collect();
        let keys = plans.iter().filter(|p| matches!(p, Some(Ok(_)))).count();
        let mut material = Material::draw(moment.keys, keys * KEY + creations.material_len())
            .map_err(Reason::from)?;
        creations.fill(&mut material)?;
        Ok(Self {
            view,
            moment,
            items,
            plans,
            creations,
            material,
            wrapper: Wrapper::default(),
            replies: Vec::with_capacity(items.len()),
            details: Vec::with_capacity(items.len()),
        })
    }

    /// Decides up to 64 more items; false when none is left.
    pub fn step(&mut self) -> bool {
        let from = self.replies.len();
        for index in from..self.items.len().min(from + STEP) {
            self.decide(index);
        }
        self.replies.len() < self.items.len()
    }

    fn decide(&mut self, index: usize) {
        let Some(item) = self.items.get(index) else {
            return;
        };
        let (authorised, item) = match item {
            Ok(item) => item,
            Err(RefusedItem { refusal, detail }) => {
                self.replies.push(Err(refusal.clone()));
                self.details.push(Detail::clone(detail));
                return;
            }
        };
        let planned = self.plans.get_mut(index).and_then(Option::take);
        let made = planned
            .unwrap_or(Err(Reason::Internal.into()))
            .and_then(|plan| {
                let (material, wrapper) = (&mut self.material, &mut self.wrapper);
                Ok(plan.make(self.moment, item, &self.creations, material, wrapper)?)
            })
            .map_err(|refusal| refusal.within_item(index));
        let outcome = Outcome::of(&made);
        let snapshot = self.view.snapshot;
        let mut detail = generate_detail(snapshot, authorised.dataset(), item, outcome);
        self.replies.push(made.map(|(key, secrets)| {
            detail.version = Some(key.version);
            detail.secrets = secrets;
            key
        }));
        self.details.push(detail);
    }

    /// Decides what is left, and ends.
    #[must_use]
    pub fn finish(mut self) -> Decision<GeneratedKeys> {
        while self.step() {}
        Decision {
            reply: self.replies,
            facts: Facts::batch(Action::GenerateDataKey, self.details),
            change: change(self.creations, self.view, self.moment),
        }
    }
}
