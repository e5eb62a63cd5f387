//! Does an operation with the engine and with the model, and compares.

mod dataset;
mod shred;
mod version;
mod wrap;

use crate::invariant::Watch;
use crate::naive::Model;
use crate::operation::Operation;
use crate::world::World;
use kms_core::engine::{Changed, Decision, Idempotency, Refusal};
use kms_core::name::KeyId;
use kms_core::policy::Action;
use kms_core::reason::Reason;
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) struct Run {
    world: World,
    model: Model,
    watch: Watch,
    reached: Reached,
}

/// How often each action ended in each way.
pub(crate) type Reached = BTreeMap<(&'static str, &'static str), u32>;

/// What became of a request id before.
enum Repeat {
    First,
    /// The same request: what it answered.
    Same(Option<Changed>),
    /// Another request.
    Other,
}

pub(crate) fn run(operations: &[Operation]) -> Reached {
    let mut run = Run {
        world: World::new(),
        model: Model::default(),
        watch: Watch::default(),
        reached: Reached::default(),
    };
    for operation in beginning().iter().chain(operations) {
        run.step(operation);
        run.watch.check(&run.world, &run.model);
    }
    run.reached
}

/// Something to act on, so that most of a walk is not about nothing.
fn beginning() -> [Operation; 4] {
    let (dataset, context, request) = (0, 1, None);
    [
        Operation::Create {
            name: dataset,
            required: Vec::new(),
            protected: false,
            request,
        },
        Operation::Generate {
            dataset,
            context,
            uses: Vec::new(),
        },
        Operation::Rotate { dataset, request },
        Operation::Encrypt {
            dataset,
            context,
            uses: Vec::new(),
        },
    ]
}

impl Run {
    fn step(&mut self, operation: &Operation) {
        use Operation as O;
        match operation {
            O::Create {
                name,
                required,
                protected,
                request,
            } => {
                self.create(operation, *name, required, *protected, *request);
            }
            O::Pass { hours, marked } => {
                let passed = Duration::from_hours((*hours).into());
                self.world.now = self.world.now.saturating_add(passed);
                if *marked && !self.world.mark.paused {
                    self.world.mark.high_water = self.world.now;
                }
            }
            O::Pause { paused } => self.world.mark.paused = *paused,
            O::CreateSecrets { uses, request } => self.create_secrets(operation, uses, *request),
            O::Block { who } | O::Unblock { who } | O::Destroy { who } => {
                self.shred(operation, *who)
            }
            O::Rewrap { blob, keep } => self.rewrap(*blob, *keep),
            O::Update { dataset, .. }
            | O::Rotate { dataset, .. }
            | O::Emergency { dataset }
            | O::Scheduled { dataset }
            | O::Disable { dataset, .. }
            | O::Enable { dataset, .. }
            | O::Schedule { dataset, .. }
            | O::Restore { dataset, .. }
            | O::Due { dataset, .. }
            | O::Generate { dataset, .. }
            | O::GenerateMany { dataset, .. }
            | O::Encrypt { dataset, .. } => {
                // what names no dataset is denied on the road already
                if let Some(known) = self.model.datasets.get(dataset) {
                    let id = known.id;
                    self.on_dataset(operation, *dataset, id);
                }
            }
        }
    }

    fn on_dataset(&mut self, operation: &Operation, dataset: u8, id: KeyId) {
        use Operation as O;
        match operation {
            O::Update {
                stale,
                lift,
                protect,
                days,
                ..
            } => {
                self.update(dataset, id, *stale, *lift, *protect, *days);
            }
            O::Rotate { .. } | O::Emergency { .. } | O::Scheduled { .. } => {
                self.rotate(operation, dataset, id);
            }
            O::Generate { context, uses, .. } => {
                self.generate(dataset, id, &[(*context, uses.clone())], false)
            }
            O::GenerateMany { items, .. } => self.generate(dataset, id, items, true),
            O::Encrypt { context, uses, .. } => self.encrypt(dataset, id, *context, uses),
            O::Disable { version, .. }
            | O::Enable { version, .. }
            | O::Schedule { version, .. }
            | O::Restore { version, .. }
            | O::Due { version, .. } => self.version(operation, dataset, id, (*version).into()),
            _ => panic!("not about a dataset: {operation:?}"),
        }
    }

    /// Compares how it ended, checks the facts, commits.
    fn settle<R>(
        &mut self,
        action: Action,
        dataset: Option<KeyId>,
        result: Result<Decision<R>, Refusal>,
        refused: &[Reason],
    ) -> Option<R> {
        let ended = result
            .as_ref()
            .map_or_else(|refusal| refusal.reason.as_str(), |_| "OK");
        *self.reached.entry((action.as_str(), ended)).or_default() += 1;
        match result {
            Err(refusal) => {
                assert!(
                    refused.contains(&refusal.reason),
                    "{action:?}: {refusal:?}, not {refused:?}"
                );
                None
            }
            Ok(decision) => {
                assert!(
                    refused.is_empty(),
                    "{action:?} was done, not refused with {refused:?}"
                );
                let facts = &decision.facts;
                assert_eq!(facts.action, action);
                if !facts.batch {
                    assert_eq!(facts.details.len(), 1);
                    assert_eq!(facts.details[0].dataset, dataset);
                }
                self.world
                    .commit(decision.change)
                    .expect("nobody else writes");
                Some(decision.reply)
            }
        }
    }

    /// The request id as the road resolves it, and what the model expects of it.
    fn idempotent(
        &self,
        operation: &Operation,
        action: Action,
        request: Option<u8>,
    ) -> (Option<Idempotency>, Repeat) {
        let body = format!("{operation:?}").into_bytes();
        let idempotency = request.map(|number| self.world.idempotency(action, number, &body));
        let answered = request.and_then(|number| self.model.answered.get(&(action, number)));
        let repeat = match answered {
            None => Repeat::First,
            Some((before, changed)) if *before == body => Repeat::Same(changed.clone()),
            Some(_) => Repeat::Other,
        };
        (idempotency, repeat)
    }

    fn remember(
        &mut self,
        operation: &Operation,
        action: Action,
        request: Option<u8>,
        changed: Option<Changed>,
    ) {
        if let Some(number) = request {
            let body = format!("{operation:?}").into_bytes();
            self.model
                .answered
                .insert((action, number), (body, changed));
        }
    }
}
