//! What happens by itself as time goes on.

use crate::scene::{Scene, dataset};
use kms_core::audit::leaf::Month;
use kms_core::engine::upkeep::period_scopes;
use kms_core::key::record::{Expect, Record, RecordKey, RequestRecord, VersionState, Write};
use kms_core::key::rotation::PERIOD_DEFAULT;
use kms_core::name::SecretKind;
use kms_core::time::DAY;
use kms_server::system::clock::Clock;
use std::time::Duration;

#[test]
fn a_dataset_rotates_when_it_is_due_and_once_after_a_long_time() {
    let mut scene = Scene::new(vec![dataset("customers", &[])]);
    let first = scene.next_rotation("customers");
    scene.advance(DAY * 89);
    assert_eq!(scene.state("customers", 1), Some(VersionState::Active));
    scene.advance(DAY * 2);
    assert_eq!(scene.state("customers", 1), Some(VersionState::DecryptOnly));
    assert_eq!(scene.state("customers", 2), Some(VersionState::Active));
    assert_eq!(
        scene.next_rotation("customers"),
        first.saturating_add(PERIOD_DEFAULT)
    );
    scene.advance(DAY * 365);
    assert_eq!(scene.state("customers", 3), Some(VersionState::Active));
    scene.advance(DAY);
    assert_eq!(scene.state("customers", 4), None, "one rotation catches up");
    let next = scene.next_rotation("customers");
    assert_eq!(
        next.since(first).as_micros() % PERIOD_DEFAULT.as_micros(),
        0
    );
    assert!(next > scene.clock.now());
}

#[test]
fn what_a_month_needs_is_made_ahead() {
    let mut scene = Scene::new(vec![dataset("call-logs", &[SecretKind::Period])]);
    let made = |scene: &Scene| {
        let (live, now) = (scene.live(), scene.clock.now());
        let held = live.state.hold();
        let wanted: Vec<_> = period_scopes(&held.snapshot, now).into_iter().collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let gathered = runtime.unwrap().block_on(live.gather(&held, &wanted, &[]));
        let gathered = gathered.unwrap().by_scope;
        let of = |scope| gathered.get(scope).is_some_and(Option::is_some);
        assert!(wanted.iter().all(of));
        let names = wanted.iter().map(|scope| scope.name.to_string());
        let months = ["2026-11", "2026-12", "2027-01"].map(|month| Month::parse(month).unwrap());
        let keys = months.map(|month| live.state.month(month).is_some());
        (names.collect::<Vec<_>>(), keys)
    };
    // the 24th: within a week of the next month
    let both = ["2026-11".to_owned(), "2026-12".to_owned()];
    assert_eq!(made(&scene), (both.to_vec(), [true, true, false]));
    scene.advance(DAY * 20);
    assert_eq!(
        made(&scene),
        (vec!["2026-12".to_owned()], [true, true, false])
    );
    scene.advance(DAY * 12);
    let next = ["2026-12".to_owned(), "2027-01".to_owned()];
    assert_eq!(made(&scene), (next.to_vec(), [true, true, true]));
}

#[test]
fn request_ids_are_forgotten_after_a_day() {
    let mut scene = Scene::new(Vec::new());
    let key = RecordKey::request([9; 32]);
    scene.write(Write {
        key: key.clone(),
        expect: Expect::Absent,
        record: Some(Record::Request(RequestRecord {
            fingerprint: [1; 32],
            at: scene.clock.now(),
            key_id: None,
            version: None,
            marked: Vec::new(),
        })),
    });
    let is_there = |scene: &Scene| scene.live().records.get(&key).unwrap().is_some();
    scene.advance(Duration::from_hours(23));
    assert!(is_there(&scene));
    scene.advance(Duration::from_hours(1));
    assert!(!is_there(&scene));
}
