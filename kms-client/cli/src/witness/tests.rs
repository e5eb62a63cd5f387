//! What a witness does with checkpoints, over real trees. The logs' own keys are witnesses' keys here: they sign, too.

use super::*;
use std::collections::HashMap;
use std::path::PathBuf;
use tlog::proof::{Tiles, prove_consistency};
use tlog::{Edge, Tile, leaf_hash};

struct Log {
    key: Cosigner,
    edge: Edge,
    tiles: HashMap<Tile, Vec<Hash>>,
}

impl Tiles for &Log {
    type Error = ();

    fn tile(&self, tile: Tile) -> Result<Vec<Hash>, ()> {
        self.tiles.get(&tile).cloned().ok_or(())
    }
}

impl Log {
    fn new(key: &str, salt: &str, size: u64) -> Self {
        let mut log = Self {
            key: Cosigner::parse(key).unwrap(),
            edge: Edge::new(),
            tiles: HashMap::new(),
        };
        for place in 0..size {
            let leaf = format!("{salt}{place}");
            log.edge.push(leaf_hash(leaf.as_bytes()), |(tile, row)| {
                log.tiles.insert(tile, row.to_vec());
            });
        }
        let partial = log.edge.partial().map(|(tile, row)| (tile, row.to_vec()));
        log.tiles.extend(partial.collect::<Vec<_>>());
        log
    }

    fn note(&self) -> String {
        let checkpoint = Checkpoint {
            origin: self.key.key().name().to_owned(),
            size: self.edge.size(),
            root: self.edge.root(),
        };
        let text = checkpoint.text();
        format!("{text}\n{}", self.key.cosign(&text, 1))
    }

    fn submission(&self, old_size: u64) -> String {
        let proof = prove_consistency(&self, self.edge.size(), old_size).unwrap();
        let note = self.note();
        Submission {
            old_size,
            proof,
            note,
        }
        .text()
    }
}

struct Bench {
    folder: tempfile::TempDir,
    key: String,
    own: String,
}

impl Bench {
    fn new() -> Self {
        let make = |name| Cosigner::make_random(name).unwrap().to_string();
        Self {
            folder: tempfile::tempdir().unwrap(),
            key: make("example.com/log"),
            own: make("witness.example/1"),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn witness(&self) -> Witness {
        let log = Cosigner::parse(&self.key).unwrap();
        Witness {
            memory: Memory::open(&self.path()).unwrap(),
            trust: Trust::new(vec![log.key().clone()]),
            cosigner: Some(Cosigner::parse(&self.own).unwrap()),
        }
    }

    fn log(&self, size: u64) -> Log {
        Log::new(&self.key, "", size)
    }
}

#[test]
fn each_checkpoint_that_extends_the_last_is_cosigned_and_remembered() {
    let bench = Bench::new();
    let own = Cosigner::parse(&bench.own).unwrap();
    let mut old = 0;
    for (seconds, size) in [(100, 0), (101, 5), (102, 5), (103, 300), (104, 700)] {
        // a witness of its own each time: what it knows lies on the disk
        let witness = bench.witness();
        let log = bench.log(size);
        let added = witness.submit(&log.submission(old), seconds).unwrap();
        assert_eq!((added.before, added.checkpoint.size), (old, size));
        let note = format!("{}{}", log.note(), added.cosignature);
        let signed = Note::parse(&note).unwrap().signed_at(own.key());
        assert_eq!(signed, Some(seconds));
        let last = witness.memory.last("example.com/log").unwrap();
        assert_eq!(last, Some(added.checkpoint));
        let place = witness.memory.place("example.com/log").unwrap();
        assert_eq!(std::fs::read_to_string(place).unwrap(), note);
        old = size;
    }
}

#[test]
fn what_does_not_extend_the_last_is_refused_and_kept_as_evidence() {
    let bench = Bench::new();
    let witness = bench.witness();
    witness.submit(&bench.log(300).submission(0), 1).unwrap();
    let forked = Log::new(&bench.key, "forked", 600);
    let evidence = bench.path().join("logs/example%2Ecom%2Flog/refused");
    assert!(!evidence.exists());
    let refused = witness.submit(&forked.submission(300), 2).unwrap_err();
    assert!(matches!(
        refused,
        Refusal::NotExtended(NotExtended::Changed { last: 300 })
    ));
    assert_eq!(std::fs::read_to_string(&evidence).unwrap(), forked.note());
    // of the same size, with another root
    let same = Log::new(&bench.key, "forked", 300);
    let refused = witness.submit(&same.submission(300), 2).unwrap_err();
    assert!(matches!(refused, Refusal::Conflict(300)), "{refused}");
    // an older copy, as files and over the network
    let older = bench.log(200);
    let refused = witness.add(&older.note(), None, 2, |_| Ok(Vec::new()));
    let shorter = NotExtended::Shorter {
        found: 200,
        last: 300,
    };
    assert!(matches!(refused, Err(Refusal::NotExtended(found)) if found == shorter));
    let refused = witness.submit(&older.submission(0), 2).unwrap_err();
    assert!(matches!(refused, Refusal::Conflict(300)), "{refused}");
    let last = witness.memory.last("example.com/log").unwrap().unwrap();
    assert_eq!(last.size, 300);
}

#[test]
fn what_says_less_than_it_should_is_refused() {
    let bench = Bench::new();
    let witness = bench.witness();
    let log = bench.log(300);
    let refuses = |body: &str| witness.submit(body, 1).unwrap_err();
    assert!(matches!(
        refuses("old 0\n\nnothing\n"),
        Refusal::Malformed(_)
    ));
    assert!(matches!(
        refuses(&log.submission(0).replace("old 0", "old 301")),
        Refusal::Backward
    ));
    // a size that was never seen
    assert!(matches!(refuses(&log.submission(7)), Refusal::Conflict(0)));
    // a proof where none belongs
    let padded = log
        .submission(0)
        .replace("old 0\n", &format!("old 0\n{}\n", Hash([1; 32])));
    assert!(matches!(refuses(&padded), Refusal::Malformed(_)));
    let stranger = Cosigner::make_random("example.com/log").unwrap();
    let forged = Log::new(&stranger, "", 300).submission(0);
    assert!(matches!(refuses(&forged), Refusal::Untrusted(_)));
    let other = Cosigner::make_random("example.com/other").unwrap();
    let unknown = Log::new(&other, "", 3).submission(0);
    assert!(matches!(refuses(&unknown), Refusal::UnknownOrigin(_)));
    // a valid text below which another text's signature stands
    let mixed = log.submission(0).replacen("\n300\n", "\n301\n", 1);
    assert!(matches!(refuses(&mixed), Refusal::Untrusted(_)));
}

#[test]
fn two_processes_never_share_a_memory() {
    let bench = Bench::new();
    let first = bench.witness();
    let second = Memory::open(&bench.path()).unwrap_err();
    assert_eq!(second.kind(), io::ErrorKind::WouldBlock);
    drop(first);
    assert!(Memory::open(&bench.path()).is_ok());
}

#[test]
fn a_memory_that_cannot_be_written_vouches_for_nothing() {
    let bench = Bench::new();
    let witness = bench.witness();
    // the folder's name is taken by a file
    std::fs::write(bench.path().join("logs"), "").unwrap();
    let refused = witness.submit(&bench.log(3).submission(0), 1).unwrap_err();
    assert!(matches!(refused, Refusal::Memory(_)), "{refused}");
}
