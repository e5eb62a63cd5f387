//! What cannot be undone never happens on wall time alone.

use crate::scene::{Scene, dataset};
use kms_core::key::record::VersionState;
use kms_core::time::DAY;
use kms_server::jobs::PASS_EVERY;
use kms_server::system::clock::Clock;
use std::time::Duration;

const CUSTOMERS: &str = "customers";

/// A daemon with version 9 to be destroyed in 30 days.
fn doomed() -> Scene {
    let scene = Scene::new(vec![dataset(CUSTOMERS, &[])]);
    let at = scene.clock.now().saturating_add(DAY * 30);
    scene.doom(CUSTOMERS, 9, at);
    scene
}

fn is_destroyed(scene: &Scene) -> bool {
    matches!(
        scene.state(CUSTOMERS, 9),
        Some(VersionState::Destroyed { .. })
    )
}

#[test]
fn a_version_is_destroyed_when_its_time_is_over_and_not_before() {
    let mut scene = doomed();
    scene.advance(DAY * 30 - Duration::from_secs(1));
    assert!(!is_destroyed(&scene));
    // the mark is written every ten minutes, and the timer asks the mark
    scene.advance(Duration::from_mins(10));
    assert!(is_destroyed(&scene));
}

#[test]
fn ten_years_forward_destroy_nothing_until_an_operator_confirms() {
    let mut scene = doomed();
    let right = scene.clock.now();
    scene.clock.step_wall(right.saturating_add(DAY * 3_650));
    scene.advance(PASS_EVERY);
    assert!(scene.mark().paused);
    assert_eq!(scene.mark().high_water, right);
    assert!(!is_destroyed(&scene));
    // the clock is put right: that alone ends nothing
    scene.clock.step_wall(right.saturating_add(DAY));
    scene.advance(PASS_EVERY);
    assert!(scene.mark().paused);
    let alarms = scene.live().alarms.texts();
    assert!(
        alarms.iter().any(|text| text.contains("stepped")),
        "{alarms:?}"
    );
    scene.confirm();
    scene.advance(PASS_EVERY);
    assert!(!scene.mark().paused);
    assert!(scene.live().alarms.texts().is_empty());
    assert!(!is_destroyed(&scene));
    scene.advance(DAY * 30);
    assert!(is_destroyed(&scene));
}

#[test]
fn a_start_long_after_the_mark_pauses() {
    let mut scene = doomed();
    scene.stop();
    scene.clock.advance(Duration::from_hours(47));
    scene.start(Vec::new());
    assert!(!scene.mark().paused);
    scene.stop();
    scene.clock.advance(DAY * 31);
    scene.start(Vec::new());
    assert!(scene.mark().paused);
    assert!(!is_destroyed(&scene));
    // a further start does not forget it
    scene.stop();
    scene.start(Vec::new());
    assert!(scene.mark().paused && !is_destroyed(&scene));
    scene.confirm();
    scene.advance(PASS_EVERY);
    assert!(is_destroyed(&scene));
}

#[test]
fn an_unsynchronised_clock_pauses() {
    let mut scene = doomed();
    let file = scene.ask_file();
    std::fs::write(&file, "").unwrap();
    scene.stop();
    scene.start(Vec::new());
    assert!(!scene.mark().paused);
    std::fs::remove_file(&file).unwrap();
    scene.advance(DAY * 31);
    assert!(scene.mark().paused && !is_destroyed(&scene));
    std::fs::write(&file, "").unwrap();
    scene.confirm();
    scene.advance(PASS_EVERY);
    assert!(is_destroyed(&scene));
}
