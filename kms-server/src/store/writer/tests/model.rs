//! Random changes, in bursts, against a model that does them one after the other.

use super::{Scene, leaf, put, sled, together};
use crate::store::tests::scene::{block_on, memory};
use crate::store::writer::ChangeError;
use crate::store::{Records, Store, load};
use kms_core::format::place::{RecordKey, Revision, Tree};
use kms_core::key::record::{Expect, Record, TimeMark, Write};
use kms_core::time::Timestamp;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A write as generated: which key, what is expected, what value (none removes).
#[derive(Debug, Clone)]
struct RandomWrite {
    key: usize,
    expect: RandomExpect,
    value: Option<i64>,
}

#[derive(Debug, Clone, Copy)]
enum RandomExpect {
    Absent,
    /// The revision known before the burst.
    Known,
    /// Another one.
    Stale,
    Anything,
}

#[derive(Debug, Clone)]
struct RandomChange {
    writes: Vec<RandomWrite>,
    leaves: bool,
    restricts: bool,
}

#[derive(Debug, Clone)]
enum Step {
    Burst(Vec<RandomChange>),
    /// Everything so far is in the log.
    Logged,
    Restart,
    /// A slice of the scrub.
    Scrub(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let expect = prop_oneof![
        2 => Just(RandomExpect::Absent),
        4 => Just(RandomExpect::Known),
        1 => Just(RandomExpect::Stale),
        1 => Just(RandomExpect::Anything),
    ];
    let value = prop::option::weighted(0.8, any::<i64>());
    let write = (0..KEYS, expect, value).prop_map(|(key, expect, value)| RandomWrite {
        key,
        expect,
        value,
    });
    let writes = prop::collection::vec(write, 1..4);
    let change = (writes, any::<bool>(), prop::bool::weighted(0.1));
    let change = change.prop_map(|(writes, leaves, restricts)| RandomChange {
        writes,
        leaves,
        restricts,
    });
    let burst = prop::collection::vec(change, 1..8);
    let step = prop_oneof![
        6 => burst.prop_map(Step::Burst),
        1 => Just(Step::Logged),
        1 => Just(Step::Restart),
        2 => (1_usize..8).prop_map(Step::Scrub),
    ];
    prop::collection::vec(step, 1..12)
}

const KEYS: usize = 12;

/// Some in trees verified at unseal, some in scrubbed ones.
fn key(index: usize) -> RecordKey {
    let tree = [Tree::Dataset, Tree::Shred, Tree::ShredName, Tree::Version][index % 4];
    RecordKey {
        tree,
        key: [index as u8 * 20, 7].into(),
    }
}

/// `Some(None)`: written in this burst, its revision not known yet.
type Model = BTreeMap<usize, (Option<u64>, i64)>;

struct Run {
    scene: Scene,
    model: Model,
    changes: u64,
    revision: u64,
    unlogged: Vec<u64>,
}

impl Run {
    fn burst(&mut self, burst: &[RandomChange]) -> Result<(), TestCaseError> {
        let generation = crate::store::Sink::generation(&*self.scene.sink);
        let known = self.model.clone();
        let scene = &self.scene;
        let ends = together(scene, || {
            let submit = |change: &RandomChange| {
                let writes = change.writes.iter().map(|w| to_write(w, &known)).collect();
                let leaves = if change.leaves { leaf() } else { Vec::new() };
                scene.submit_with(writes, leaves, generation, change.restricts)
            };
            burst.iter().map(submit).collect()
        });
        // the change that kept the writer busy
        self.changes += 1;
        self.unlogged.push(self.changes);
        let mut restricted = false;
        for (change, end) in burst.iter().zip(ends) {
            let expected = !restricted && self.holds(change, &known);
            let end = end.blocking_recv().unwrap();
            prop_assert_eq!(end.is_ok(), expected, "{:?}", change);
            let Ok(published) = end else {
                prop_assert_eq!(end, Err(ChangeError::Conflict));
                continue;
            };
            prop_assert!(published.revision.0 >= self.revision);
            self.revision = published.revision.0;
            restricted |= change.restricts;
            if change.leaves {
                self.changes += 1;
                self.unlogged.push(self.changes);
            }
            let number = if change.leaves { self.changes } else { 0 };
            prop_assert_eq!(published.change, number);
            for write in &change.writes {
                match write.value {
                    Some(value) => {
                        let entry = (Some(published.revision.0), value);
                        self.model.insert(write.key, entry);
                    }
                    None => {
                        self.model.remove(&write.key);
                    }
                }
            }
        }
        Ok(())
    }

    /// `known` is what the burst's changes were decided on, the model what holds now.
    fn holds(&self, change: &RandomChange, known: &Model) -> bool {
        let mut keys: Vec<_> = change.writes.iter().map(|w| w.key).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.len() == change.writes.len()
            && change.writes.iter().all(|write| {
                let now = self.model.get(&write.key).map(|(revision, _)| *revision);
                let before = known.get(&write.key).map(|(revision, _)| *revision);
                match write.expect {
                    RandomExpect::Absent => now.is_none(),
                    RandomExpect::Known => before.is_some() && now == before,
                    RandomExpect::Stale => false,
                    RandomExpect::Anything => true,
                }
            })
    }

    /// The store holds what the model holds, and everything adds up.
    fn check(&self) -> Result<(), TestCaseError> {
        let records = &self.scene.records;
        for index in 0..KEYS {
            let found = records.get(&key(index)).unwrap();
            let found = found.map(|stored| match stored.record {
                Some(Record::TimeMark(mark)) => {
                    (Some(stored.revision.0), mark.high_water.as_micros())
                }
                other => panic!("{other:?}"),
            });
            prop_assert_eq!(found, self.model.get(&index).copied());
        }
        let loaded = load(records).unwrap();
        prop_assert!(loaded.quarantined.is_empty());
        prop_assert!(loaded.shards.is_empty());
        prop_assert_eq!(loaded.root.last_change, self.changes);
        let outbox: Vec<_> = loaded.outbox.iter().map(|part| part.change).collect();
        prop_assert_eq!(&outbox, &self.unlogged);
        Ok(())
    }

    fn scrub(&self, limit: usize) -> Result<bool, TestCaseError> {
        let slice = block_on(self.scene.writer.scrub(limit)).unwrap();
        prop_assert!(slice.records <= limit);
        prop_assert!(slice.damaged.is_empty() && slice.shards.is_empty());
        Ok(slice.finished)
    }
}

fn to_write(write: &RandomWrite, known: &Model) -> Write {
    let before = known.get(&write.key).and_then(|(revision, _)| *revision);
    let mark = write.value.map(|value| TimeMark {
        high_water: Timestamp::from_micros(value),
        paused: false,
    });
    let expect = match write.expect {
        RandomExpect::Absent => Expect::Absent,
        RandomExpect::Known => Expect::Unchanged(Revision(before.unwrap_or(u64::MAX))),
        RandomExpect::Stale => Expect::Unchanged(Revision(before.unwrap_or(1) + 1_000_000)),
        RandomExpect::Anything => Expect::Anything,
    };
    match mark {
        Some(mark) => put(key(write.key), expect, Record::TimeMark(mark)),
        None => Write {
            key: key(write.key),
            expect,
            record: None,
        },
    }
}

fn run(
    steps: Vec<Step>,
    store: Arc<dyn Store>,
    again: impl Fn(Records) -> Records,
) -> Result<(), TestCaseError> {
    let mut run = Run {
        scene: Scene::new(store),
        model: Model::new(),
        changes: 0,
        revision: 1,
        unlogged: Vec::new(),
    };
    for step in steps {
        match step {
            Step::Burst(burst) => run.burst(&burst)?,
            Step::Logged => {
                run.scene.writer.logged(run.changes, run.changes * 10);
                block_on(run.scene.writer.settle());
                run.unlogged.clear();
            }
            Step::Restart => run.scene = Scene::resume(again(run.scene.stop())).0,
            Step::Scrub(limit) => {
                run.scrub(limit)?;
            }
        }
        run.check()?;
    }
    while !run.scrub(5)? {}
    run.scrub(1_000)?;
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn bursts_end_as_if_done_one_after_the_other(steps in steps()) {
        run(steps, memory(), |records| records)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn and_so_on_disk(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let reopen = |records: Records| {
            drop(records);
            crate::store::tests::scene::records(sled(dir.path()))
        };
        run(steps, sled(dir.path()), reopen)?;
    }
}
