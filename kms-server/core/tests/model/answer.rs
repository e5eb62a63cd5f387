//! What a call costs, says in the log and answers, where the model does not look.

use crate::world::{World, allowed};
use kms_core::audit::Outcome;
use kms_core::engine::upkeep::{create_period_secrets, policy_scopes};
use kms_core::engine::{
    DatasetUpdate, GenerateItem, Item, Moment, NewDataset, Refusal, RefusedItem, ScopeRequest,
    SecretUse, create_dataset, dataset, generate_data_keys, resolve_scope, schedule_destruction,
    update_dataset,
};
use kms_core::entropy::{Entropy, EntropyUnavailable};
use kms_core::key::record::DatasetPolicy;
use kms_core::name::{
    DatasetName, KeyContext, KeyId, Labels, RetentionClass, SecretKind, ShredScope, VersionNumber,
};
use kms_core::policy::act;
use kms_core::reason::Reason;
use kms_core::time::{DAY, Timestamp};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

fn policy() -> DatasetPolicy {
    DatasetPolicy {
        rotation_period: DAY * 90,
        required_secrets: Vec::new(),
        retention_classes: vec![RetentionClass::parse("customer").unwrap()],
        lasting_context_keys: vec!["tenant".into()],
    }
}

fn world(protected: bool) -> (World, KeyId) {
    let mut world = World::new();
    let gathered = world.gather(&[], &[]);
    let new = NewDataset {
        name: DatasetName::parse("customers").unwrap(),
        policy: policy(),
        labels: Labels::default(),
        deletion_protection: protected,
    };
    let (view, moment) = (world.view(&gathered), world.moment());
    let made = create_dataset(&view, &moment, &allowed(None), &new, None).unwrap();
    world.commit(made.change).unwrap();
    (world, made.reply.key_id)
}

fn jane() -> ShredScope {
    let request = ScopeRequest {
        kind: SecretKind::Subject,
        account: "acme",
        name: "jane",
        class: "customer",
    };
    resolve_scope(None, request, Timestamp::default()).unwrap()
}

fn item(id: KeyId, purpose: &str, create: bool) -> Item<act::GenerateDataKey, GenerateItem> {
    let pairs = [("tenant", "acme"), ("purpose", purpose)];
    let context = pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    Ok((
        allowed(Some(id)),
        GenerateItem {
            context: KeyContext::new(context).unwrap(),
            secrets: vec![SecretUse {
                scope: jane(),
                create_if_absent: create,
                succeeds: None,
            }],
        },
    ))
}

/// Counts calls to a source.
struct Counted<'a>(&'a dyn Entropy, AtomicUsize);
impl Entropy for Counted<'_> {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyUnavailable> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.fill(bytes)
    }
}

#[test]
fn a_batch_draws_its_key_material_with_one_call_and_makes_a_shared_secret_once() {
    let (world, id) = world(true);
    let scopes = [jane()];
    let gathered = world.gather(&scopes, &[]);
    let keys = Counted(&world.entropy, AtomicUsize::new(0));
    let moment = Moment {
        keys: &keys,
        ..world.moment()
    };
    let items: Vec<_> = (0..200).map(|_| item(id, "crm", true)).collect();
    let made = generate_data_keys(&world.view(&gathered), &moment, &items).unwrap();
    assert!(made.reply.iter().all(Result::is_ok));
    assert_eq!(keys.1.load(Ordering::Relaxed), 1);
    assert_eq!(
        made.change.unwrap().writes.len(),
        2,
        "the secret and its name"
    );
    let mut plaintexts: Vec<_> = made
        .reply
        .iter()
        .map(|key| *key.as_ref().unwrap().plaintext.expose_bytes())
        .collect();
    plaintexts.sort_unstable();
    plaintexts.dedup();
    assert_eq!(plaintexts.len(), 200);
}

#[test]
fn a_batch_says_in_the_log_what_each_item_was() {
    let (world, id) = world(true);
    let scopes = [jane()];
    let gathered = world.gather(&scopes, &[]);
    let items = [
        item(id, "crm", true),
        item(id, "crm", true),
        item(id, "crm", false),
        Err(RefusedItem::from(Refusal::from(Reason::Denied))),
    ];
    let made = generate_data_keys(&world.view(&gathered), &world.moment(), &items).unwrap();
    let reasons: Vec<_> = made
        .reply
        .iter()
        .map(|r| r.as_ref().err().map(|e| e.reason))
        .collect();
    assert_eq!(
        reasons,
        [
            None,
            None,
            Some(Reason::ShredSecretMissing),
            Some(Reason::Denied)
        ]
    );
    let facts = made.facts;
    assert!(facts.batch);
    assert_eq!(facts.outcome, Outcome::Ok);
    let [ok, missing, denied] = &facts.details[..] else {
        panic!("equal items are merged: {facts:?}")
    };
    assert_eq!(
        (ok.count, ok.dataset, ok.version),
        (2, Some(id), Some(VersionNumber::FIRST))
    );
    assert_eq!(ok.secrets.len(), 2);
    assert_eq!(ok.lasting, [("tenant".into(), "acme".into())]);
    assert_eq!(ok.personal, [("purpose".into(), "crm".into())]);
    assert_eq!(
        missing.outcome,
        Outcome::Refused(Reason::ShredSecretMissing)
    );
    assert_eq!(missing.dataset, Some(id));
    assert_eq!(denied.outcome, Outcome::Refused(Reason::Denied));
    assert_eq!(denied.dataset, None);
}

#[test]
fn every_violation_of_a_policy_is_named() {
    let class = |name: &str| RetentionClass::parse(name).unwrap();
    let bad = DatasetPolicy {
        rotation_period: DAY * 3_651,
        required_secrets: vec![SecretKind::Subject, SecretKind::Subject],
        retention_classes: vec![class("a"), class("a")],
        lasting_context_keys: vec!["Tenant".into()],
    };
    let fields = |policy: &DatasetPolicy| -> Vec<String> {
        let refusal = dataset::check_policy(policy).unwrap_err();
        assert_eq!(refusal.reason, Reason::InvalidArgument);
        refusal.violations.into_iter().map(|v| v.field).collect()
    };
    assert_eq!(
        fields(&bad),
        [
            "policy.rotation_period",
            "policy.required_secrets",
            "policy.retention_classes",
            "policy.lasting_context_keys"
        ]
    );
    let useless = DatasetPolicy {
        required_secrets: vec![SecretKind::Period],
        retention_classes: Vec::new(),
        ..policy()
    };
    assert_eq!(fields(&useless), ["policy.retention_classes"]);
    assert!(dataset::check_policy(&policy()).is_ok());
}

#[test]
fn an_update_names_what_it_changed_and_moves_the_schedule_only_with_the_period() {
    let (world, id) = world(true);
    let gathered = world.gather(&[], &[]);
    let (view, moment) = (world.view(&gathered), world.moment());
    let before = world.snapshot.by_id(id).unwrap();
    let update = |rotation_period, lasting: Option<Vec<Box<str>>>| DatasetUpdate {
        etag: before.revision,
        rotation_period,
        lasting_context_keys: lasting,
        ..DatasetUpdate::default()
    };
    let decide = |update: &DatasetUpdate| {
        update_dataset(&view, &moment, &allowed(Some(id)), None, update).unwrap()
    };
    let made = decide(&update(None, Some(vec!["purpose".into()])));
    assert_eq!(
        &*made.facts.details[0].note,
        "changed: lasting_context_keys"
    );
    let made = decide(&update(Some(DAY * 30), None));
    assert_eq!(&*made.facts.details[0].note, "changed: rotation_period");
    let nothing = update_dataset(
        &view,
        &moment,
        &allowed(Some(id)),
        None,
        &update(None, None),
    );
    assert_eq!(nothing.unwrap_err().violations[0].field, "update_mask");
}

#[test]
fn a_clock_that_fell_back_does_not_shorten_a_waiting_time() {
    let (mut world, id) = world(false);
    let gathered = world.gather(&[], &[]);
    let turned = kms_core::engine::rotate(
        &world.view(&gathered),
        &world.moment(),
        &allowed(Some(id)),
        None,
    )
    .unwrap();
    world.commit(turned.change).unwrap();
    let right = world.now;
    world.now = Timestamp::default();
    let (view, moment) = (world.view(&gathered), world.moment());
    let first = VersionNumber::FIRST;
    let made = schedule_destruction(&view, &moment, &allowed(Some(id)), first, DAY * 7).unwrap();
    world.commit(made.change).unwrap();
    let state = world.snapshot.by_id(id).unwrap().versions[&first]
        .record
        .state;
    let at = right.saturating_add(DAY * 7);
    assert_eq!(
        state,
        kms_core::key::record::VersionState::DestroyScheduled { at }
    );
}

#[test]
fn a_dataset_that_demands_periods_is_made_with_them() {
    let mut world = World::new();
    let new = |name: &str| NewDataset {
        name: DatasetName::parse(name).unwrap(),
        policy: DatasetPolicy {
            required_secrets: vec![SecretKind::Period],
            ..policy()
        },
        labels: Labels::default(),
        deletion_protection: true,
    };
    // the last week of the month is near the next month's secrets
    world.now = Timestamp::from_micros(1_795_910_400_000_000);
    let scopes: Vec<_> = policy_scopes(&new("a").policy, world.now)
        .into_iter()
        .collect();
    let months: Vec<_> = scopes.iter().map(|scope| &*scope.name).collect();
    assert_eq!(months, ["2026-11", "2026-12"]);
    for (name, made) in [("a", 2), ("b", 0)] {
        let gathered = world.gather(&scopes, &[]);
        let (view, moment) = (world.view(&gathered), world.moment());
        let decision = create_dataset(&view, &moment, &allowed(None), &new(name), None).unwrap();
        assert_eq!(decision.facts.details[0].secrets.len(), made, "{name}");
        world.commit(decision.change).unwrap();
    }
    let gathered = world.gather(&scopes, &[]);
    let all: BTreeSet<_> = scopes.into_iter().collect();
    let (view, moment) = (world.view(&gathered), world.moment());
    let proof = allowed(None);
    let nothing = create_period_secrets(&view, &moment, &proof, &all).unwrap();
    assert!(nothing.change.is_none() && nothing.reply.is_empty());
}
