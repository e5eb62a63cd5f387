//! The engine against a naive model: random operations over a map of records, invariants after each.
//!
//! The model knows nothing of the engine's state machine, formats or checks: it says in its own words what
//! should happen. `cfg(test)` is always true here; it tells clippy that helpers may unwrap as tests may.

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
use proptest::prelude::*;

#[cfg(test)]
proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_does_what_the_model_says(
        operations in prop::collection::vec(operation::any_operation(), 1..80)
    ) {
        run::run(&operations);
    }
}
