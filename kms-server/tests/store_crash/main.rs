//! Kills a process that commits through the writer, again and again, and looks at what is left: no
//! acknowledged change is lost, no change is half there, everything adds up, nothing runs backwards.
//!
//! Started with `child DIRECTORY FIRST` it is that process; acknowledgements go to its standard output.

mod child;
mod plan;

use kms_core::cipher::system_entropy::SystemEntropy;
use kms_core::entropy::make_bytes;
use kms_core::key::record::{Record, ShredState};
use kms_server::store::load;
use plan::Planned;
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// Times that the process is killed.
const ROUNDS: usize = 20;
/// Most acknowledgements before a kill.
const ACKS_MAX: u16 = 150;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().collect();
    if let [_, word, dir, first] = arguments.as_slice()
        && word == "child"
    {
        return child::run(Path::new(dir), first.parse()?);
    }
    // any other argument is a test filter, which this one test ignores
    let dir = tempfile::tempdir()?;
    let dir = dir.path().join("store");
    let mut known = Known::default();
    for round in 0..ROUNDS {
        // every third round dies while it opens or begins
        let limit = if round % 3 == 2 { 4 } else { ACKS_MAX };
        let acks = u16::from_be_bytes(make_bytes(&SystemEntropy::new())?) % limit;
        known.run_and_kill(&dir, acks)?;
        known.check(&dir)?;
    }
    assert!(known.acked.len() > ROUNDS, "the kills came too early");
    Ok(())
}

/// What the killed processes acknowledged.
#[derive(Default)]
struct Known {
    /// Change number by number in the plan.
    acked: BTreeMap<u64, u64>,
    /// The plan's numbers that may have been submitted.
    begun: Vec<std::ops::Range<u64>>,
    next: u64,
    revision: u64,
    last_change: u64,
}

impl Known {
    fn run_and_kill(&mut self, dir: &Path, acks: u16) -> Result<(), Box<dyn Error>> {
        let first = self.next;
        let mut child = Command::new(std::env::current_exe()?)
            .arg("child")
            .arg(dir)
            .arg(first.to_string())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("no pipe")?;
        let mut lines = BufReader::new(output).lines();
        let mut seen = Vec::new();
        for line in lines.by_ref().take(usize::from(acks)) {
            seen.push(line?);
        }
        child.kill()?;
        child.wait()?;
        // what still lies in the pipe was acknowledged too; the last line may be cut
        seen.extend(lines.map_while(Result::ok));
        let mut last = first;
        for line in seen {
            let fields: Vec<u64> = line.split(' ').map_while(|f| f.parse().ok()).collect();
            if let [number, change, revision, 0] = fields.as_slice() {
                self.acked.insert(*number, *change);
                assert!(*change > self.last_change, "a change number came again");
                assert!(*revision > self.revision, "a revision came again");
                last = last.max(*number);
            }
        }
        self.next = last + 2 * child::BURST;
        self.begun.push(first..self.next);
        Ok(())
    }

    fn check(&mut self, dir: &Path) -> Result<(), Box<dyn Error>> {
        let records = plan::open(dir)?;
        let loaded = load(&records)?;
        assert!(loaded.quarantined.is_empty() && loaded.shards.is_empty());
        assert!(loaded.root.revision.0 >= self.revision);
        self.revision = loaded.root.revision.0;
        assert!(loaded.root.last_change >= self.last_change);
        self.last_change = loaded.root.last_change;
        let waiting = loaded.outbox.iter().map(|part| part.change);
        let mut waiting: Vec<_> = waiting.collect();
        waiting.dedup();
        let unlogged = loaded.root.logged_change + 1..=loaded.root.last_change;
        assert_eq!(waiting, unlogged.collect::<Vec<_>>());
        let highest = self.acked.values().copied().max().unwrap_or(0);
        assert!(
            highest <= self.last_change,
            "an acknowledged change is gone"
        );
        for number in self.begun.iter().cloned().flatten() {
            let planned = Planned::new(number);
            let there = planned.creates.clone().filter_map(|id| {
                let stored = records.get(&plan::shred_key(id)).ok()??;
                stored.record
            });
            let there = there.count() as u64;
            let whole = planned.creates.end - planned.creates.start;
            assert!(
                there == 0 || there == whole,
                "change {number} is half there"
            );
            let acked = self.acked.contains_key(&number);
            assert!(!acked || there == whole, "change {number} is lost");
            if let (true, Some(id)) = (acked, planned.destroys) {
                let stored = records.get(&plan::shred_key(id))?;
                let destroyed = matches!(
                    stored.and_then(|stored| stored.record),
                    Some(Record::Shred(secret)) if matches!(secret.state, ShredState::Destroyed { .. })
                );
                assert!(destroyed, "the tombstone of {id} is lost");
            }
        }
        Ok(())
    }
}
