//! The engine against a naive model: random operations over a map of records, invariants after each.
//!
//! The model knows nothing of the engine's state machine, formats or checks: it says in its own words what
//! should happen. `cfg(test)` is always true here; it tells clippy that helpers may unwrap as tests may.

#[cfg(test)]
mod answer;
#[cfg(test)]
mod invariant;
#[cfg(test)]
mod naive;
#[cfg(test)]
mod operation;
#[cfg(test)]
mod race;
#[cfg(test)]
mod run;
#[cfg(test)]
mod world;

#[cfg(test)]
mod tests {
    use crate::{operation, run};
    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;
    use std::cell::RefCell;

    /// Where a walk must have been to mean anything.
    const REACHED: &[(&str, &str)] = &[
        ("DueDestruction", "OK"),
        ("DueDestruction", "TIMERS_PAUSED"),
        ("DueDestruction", "VERSION_STATE"),
        ("DueDestruction", "DELETION_PROTECTED"),
        ("EmergencyRotateDataset", "OK"),
        ("ScheduledRotation", "OK"),
        ("ScheduledRotation", "VERSION_STATE"),
        ("RestoreVersion", "OK"),
        ("EnableVersion", "OK"),
        ("LiftDeletionProtection", "OK"),
        ("LiftDeletionProtection", "DENIED"),
        ("UpdateDataset", "ETAG_MISMATCH"),
        ("CreateDataset", "ALREADY_EXISTS"),
        ("RotateDataset", "REQUEST_ID_REUSED"),
        ("DestroyShredSecret", "OK"),
        ("UnblockShredSecret", "SUBJECT_ERASED"),
        ("GenerateDataKey", "SUBJECT_ERASED"),
        ("GenerateDataKey", "SHRED_SECRET_REQUIRED"),
        ("Encrypt", "OK"),
        ("Rewrap", "OK"),
        ("Rewrap", "COMPROMISED_VERSION"),
        ("Rewrap", "VERSION_DESTROYED"),
        ("Rewrap", "SUBJECT_ERASED"),
    ];

    #[test]
    fn the_engine_does_what_the_model_says() {
        let config = ProptestConfig {
            cases: 400,
            max_shrink_iters: 2_000,
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        let operations = prop::collection::vec(operation::any_operation(), 1..140);
        let reached = RefCell::new(run::Reached::default());
        let result = TestRunner::new(config).run(&operations, |operations| {
            for (end, times) in run::run(&operations) {
                *reached.borrow_mut().entry(end).or_default() += times;
            }
            Ok(())
        });
        result.unwrap();
        let reached = reached.into_inner();
        println!("{reached:#?}");
        for end in REACHED {
            assert!(reached.contains_key(end), "no walk came to {end:?}");
        }
    }
}
