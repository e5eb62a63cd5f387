//! Two calls decide on the same state: one wins, the other gathers again and finds the winner's work.

use crate::naive::{context, scope};
use crate::operation::Who;
use crate::world::{Conflict, World, allowed};
use kms_core::engine::{
    GenerateItem, NewDataset, SecretUse, create_dataset, generate_data_key, rotate,
};
use kms_core::format::wrapped::Header;
use kms_core::key::record::DatasetPolicy;
use kms_core::key::rotation;
use kms_core::name::{DatasetName, KeyId, Labels, RetentionClass, VersionNumber};
use kms_core::reason::Reason;

fn new(name: &str) -> NewDataset {
    NewDataset {
        name: DatasetName::parse(name).unwrap(),
        policy: DatasetPolicy {
            rotation_period: rotation::PERIOD_DEFAULT,
            required_secrets: Vec::new(),
            retention_classes: vec![RetentionClass::parse("customer").unwrap()],
            lasting_context_keys: Vec::new(),
        },
        labels: Labels::default(),
        deletion_protection: true,
    }
}

fn world() -> (World, KeyId) {
    let mut world = World::new();
    let gathered = world.gather(&[], &[]);
    let made = create_dataset(
        &world.view(&gathered),
        &world.moment(),
        &allowed(None),
        &new("customers"),
        None,
    )
    .unwrap();
    world.commit(made.change).unwrap();
    (world, made.reply.key_id)
}

#[test]
fn of_two_creators_of_a_name_the_second_learns_that_it_exists() {
    let mut world = World::new();
    let gathered = world.gather(&[], &[]);
    let create = |world: &World| {
        let (view, moment) = (world.view(&gathered), world.moment());
        create_dataset(&view, &moment, &allowed(None), &new("customers"), None)
    };
    let (first, second) = (create(&world).unwrap(), create(&world).unwrap());
    world.commit(first.change).unwrap();
    assert_eq!(world.commit(second.change), Err(Conflict));
    assert_eq!(create(&world).unwrap_err().reason, Reason::AlreadyExists);
}

#[test]
fn of_two_rotations_the_second_makes_the_next_number() {
    let (mut world, id) = world();
    let gathered = world.gather(&[], &[]);
    let turn = |world: &World| {
        let (view, moment) = (world.view(&gathered), world.moment());
        rotate(&view, &moment, &allowed(Some(id)), None).unwrap()
    };
    let (first, second) = (turn(&world), turn(&world));
    world.commit(first.change).unwrap();
    assert_eq!(world.commit(second.change), Err(Conflict));
    let again = turn(&world);
    assert_eq!(again.reply.version, VersionNumber::new(3));
    world.commit(again.change).unwrap();
}

#[test]
fn of_two_creators_of_a_secret_the_second_reads_the_winners() {
    let (mut world, id) = world();
    let jane = Who {
        kind: 0,
        account: 0,
        name: 0,
    };
    let scope = scope(jane, world.now);
    let item = GenerateItem {
        context: context(1),
        secrets: vec![SecretUse {
            scope: scope.clone(),
            create_if_absent: true,
            succeeds: None,
        }],
    };
    let make = |world: &World| {
        let gathered = world.gather(std::slice::from_ref(&scope), &[]);
        let (view, moment) = (world.view(&gathered), world.moment());
        generate_data_key(&view, &moment, &allowed(Some(id)), &item).unwrap()
    };
    let (first, second) = (make(&world), make(&world));
    world.commit(first.change).unwrap();
    assert_eq!(world.commit(second.change), Err(Conflict));
    let again = make(&world);
    assert!(again.change.is_none());
    let secrets = |wrapped: &[u8]| Header::parse(wrapped).unwrap().0.secrets().to_vec();
    assert_eq!(secrets(&again.reply.wrapped), secrets(&first.reply.wrapped));
}
