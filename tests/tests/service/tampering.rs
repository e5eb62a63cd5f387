//! Twelve kinds of tampering, each at fifty places: all of them are found, and the first bad entry is named. The
//! entries are a real daemon's; the directories are laid out, and forged, in this process.

mod forgery;

use super::audit_tree::{audit, copy_tree, logged, verify as verify_by_command};
use forgery::{
    Entries, Keys, SPAN, entries_of, lay_bundles, lay_tiles, put, renumber, rewrite_time,
};
use kms_core::audit::leaf::Prefix;
use std::path::{Path, PathBuf};
use tlog::{Damage, Found, Options, Untrusted, Verified, VerifierKey, history_path};

/// Entries of the log that is forged: not a multiple of anything.
const SIZE: usize = 700;
const PLACES: usize = 50;

/// A log, another one of the same installation's name, and a place for copies.
struct Bench {
    entries: Entries,
    foreign: Entries,
    keys: Keys,
    strangers: Keys,
    folder: tempfile::TempDir,
}

impl Bench {
    fn dir(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// The entries changed as told; `deep`: the tree is made anew over them, and each says its new place.
    fn change(&self, deep: bool, change: impl FnOnce(&mut Entries)) -> Result<Verified, Found> {
        let dir = self.dir();
        self.keys.lay(&dir, &self.entries);
        let mut entries = self.entries.clone();
        change(&mut entries);
        if deep {
            renumber(&mut entries);
            std::fs::remove_dir_all(dir.join("tile")).unwrap();
            lay_tiles(&dir, &entries[..entries.len().min(SIZE)]);
        }
        lay_bundles(&dir, &entries, SIZE);
        self.verify(&[])
    }

    fn verify(&self, external: &[String]) -> Result<Verified, Found> {
        verify(&self.dir(), &self.keys.instance.verifier, external)
    }

    /// Checkpoints that somebody kept.
    fn kept(&self) -> Vec<String> {
        self.keys.checkpoints(&self.entries)
    }
}

fn verify(dir: &Path, key: &VerifierKey, external: &[String]) -> Result<Verified, Found> {
    verify_while(dir, key, external, &mut || ())
}

/// Verifies; `meanwhile` is done whenever a part was read.
fn verify_while(
    dir: &Path,
    key: &VerifierKey,
    external: &[String],
    meanwhile: &mut dyn FnMut(),
) -> Result<Verified, Found> {
    let mut check = |place: u64, entry: &[u8]| {
        let says = Prefix::read(entry).map_err(|bad| Damage::Malformed(bad.to_string()))?;
        let says = says.sequence;
        (says == place)
            .then_some(())
            .ok_or(Damage::Misplaced { says })
    };
    let options = Options {
        external,
        since: None,
        check: &mut check,
        progress: &mut |_, _| meanwhile(),
    };
    tlog::verify(dir, key, options)
}

/// It was found, and this entry named: alone, or (what root made anew to the top) within two signed roots.
fn named(kind: &str, place: usize, deep: bool, found: Result<Verified, Found>) {
    let found = found.expect_err(&format!("{kind} at {place} was not found"));
    let (first, last) = found
        .entries
        .unwrap_or_else(|| panic!("{kind} at {place}: {found}"));
    let place = place as u64;
    let width = if deep { SPAN as u64 } else { 1 };
    let is_named = first <= place && place <= last && last - first < width;
    // a tree that is one short lacks its last tile, whatever is in it
    let is_tile = deep && matches!(found.damage, Damage::TileMissing(_)) && first <= place;
    assert!(is_named || is_tile, "{kind} at {place}: {found}");
}

/// Fifty places, the first and the last among them.
fn places() -> impl Iterator<Item = (usize, bool)> {
    let last = SIZE - 2;
    (0..PLACES).map(move |n| (n * last / (PLACES - 1), n % 2 == 1))
}

#[tokio::test]
async fn twelve_kinds_at_fifty_places_are_all_found() {
    let bench = bench().await;
    for (place, deep) in places() {
        let changed = |kind, at, change: &dyn Fn(&mut Entries)| {
            named(kind, at, deep, bench.change(deep, change));
        };
        changed("edit", place, &|entries| {
            *entries[place].last_mut().unwrap() ^= 1;
        });
        changed("delete", place, &|entries| drop(entries.remove(place)));
        changed("reorder", place, &|entries| entries.swap(place, place + 1));
        changed("duplicate", place + 1, &|entries| {
            entries.insert(place, entries[place].clone());
        });
        changed("insert", place, &|entries| {
            entries.insert(place, bench.foreign[place + 1].clone());
        });
        changed("splice", place, &|entries| {
            entries.truncate(place);
            entries.extend_from_slice(&bench.foreign[place..]);
        });
        changed("time", place, &|entries| rewrite_time(&mut entries[place]));
        truncated(&bench, place, deep);
        forked(&bench, place);
        put_back(&bench, place);
        foreign_key(&bench, place, deep);
        without_checkpoint(&bench, place, deep);
        without_one_of_the_past(&bench, place);
    }
}

#[tokio::test]
async fn a_log_that_grows_while_it_is_read_is_whole() {
    let bench = bench().await;
    let (dir, key) = (bench.dir(), &bench.keys.instance.verifier);
    let (begun, whole) = (3 * SPAN, bench.folder.path().join("grown"));
    bench.keys.lay(&whole, &bench.entries);
    bench.keys.lay(&dir, &bench.entries[..begun]);
    let grown = verify_while(&dir, key, &[], &mut || copy_tree(&whole, &dir));
    assert_eq!(grown.unwrap().checkpoint.size, begun as u64);
    // the same files, but the newest checkpoint is an older one to the end
    let older = bench.keys.checkpoint(&bench.entries, begun);
    put(&dir, "checkpoint", older.as_bytes());
    let found = bench.verify(&[]);
    assert!(matches!(&found, Err(found) if matches!(found.damage, Damage::Cut { .. })));
}

/// The tail is cut; `deep`: with an older checkpoint of the log put back, as if it had never been longer.
fn truncated(bench: &Bench, place: usize, deep: bool) {
    if deep {
        let size = place.max(1);
        bench.keys.lay(&bench.dir(), &bench.entries[..size]);
        bench.verify(&[]).unwrap();
        named("truncate", size, false, bench.verify(&bench.kept()));
    } else {
        named(
            "truncate",
            place,
            false,
            bench.change(false, |entries| entries.truncate(place)),
        );
    }
}

/// Another history from an entry on, signed by the log's own key.
fn forked(bench: &Bench, place: usize) {
    let mut entries = bench.entries.clone();
    entries[place..]
        .iter_mut()
        .for_each(|entry| rewrite_time(entry));
    bench.keys.lay(&bench.dir(), &entries);
    bench.verify(&[]).unwrap();
    let found = bench.verify(&bench.kept());
    assert!(matches!(&found, Err(found) if matches!(found.damage, Damage::Forked(_))));
    named("fork", place, true, found);
}

/// The whole directory as it was.
fn put_back(bench: &Bench, place: usize) {
    let size = (place / SPAN * SPAN).max(SPAN);
    bench.keys.lay(&bench.dir(), &bench.entries[..size]);
    bench.verify(&[]).unwrap();
    let found = bench.verify(&bench.kept()[size / SPAN..]);
    assert!(matches!(&found, Err(found) if matches!(found.damage, Damage::Cut { .. })));
    named("older log", size, false, found);
}

/// A checkpoint by somebody else's key; `deep`: with that key's certificate.
fn foreign_key(bench: &Bench, place: usize, deep: bool) {
    let dir = bench.dir();
    let size = place.max(1);
    bench.keys.lay(&dir, &bench.entries[..size]);
    if deep {
        bench.strangers.lay(&dir, &bench.entries[..size]);
    } else {
        let note = bench.strangers.checkpoint(&bench.entries, size);
        put(&dir, "checkpoint", note.as_bytes());
        put(&dir, &history_path(0), note.as_bytes());
    }
    let expected = if deep {
        Untrusted::Unsigned(1, "kms".to_owned())
    } else {
        Untrusted::Checkpoint(size as u64)
    };
    let found = bench.verify(&[]).unwrap_err();
    assert_eq!(found.damage, Damage::Untrusted(expected), "{place}");
}

/// The newest checkpoint is gone; `deep`: from the history.
fn without_checkpoint(bench: &Bench, place: usize, deep: bool) {
    let dir = bench.dir();
    let size = place.max(1);
    bench.keys.lay(&dir, &bench.entries[..size]);
    let expected = if deep {
        let mut kept = bench.keys.checkpoints(&bench.entries[..size]);
        kept.pop();
        put(&dir, &history_path(0), kept.concat().as_bytes());
        Damage::History
    } else {
        std::fs::remove_file(dir.join("checkpoint")).unwrap();
        Damage::NoCheckpoint
    };
    assert_eq!(bench.verify(&[]).unwrap_err().damage, expected, "{place}");
}

/// A checkpoint of the past is gone, and with it what narrows an edit down.
fn without_one_of_the_past(bench: &Bench, place: usize) {
    let mut kept = bench.kept();
    let at = (place / SPAN).min(kept.len() - 2);
    bench.keys.lay(&bench.dir(), &bench.entries);
    drop(kept.remove(at));
    put(&bench.dir(), &history_path(0), kept.concat().as_bytes());
    let found = bench.verify(&[]).unwrap_err();
    let size = (at + 1) * SPAN;
    assert_eq!(found.damage, Damage::CheckpointMissing(size as u64));
    let within = ((at * SPAN) as u64, size as u64 - 1);
    assert_eq!(found.entries, Some(within), "{place}");
}

async fn bench() -> Bench {
    let (entries, foreign) = tokio::join!(real_entries(), real_entries());
    assert_ne!(entries, foreign);
    let bench = Bench {
        entries,
        foreign,
        keys: Keys::new(1),
        strangers: Keys::new(3),
        folder: tempfile::tempdir().unwrap(),
    };
    bench.keys.lay(&bench.dir(), &bench.entries);
    let verified = bench.verify(&bench.kept()).unwrap();
    assert_eq!(verified.checkpoint.size, SIZE as u64);
    bench
}

/// The first entries of a daemon's log. What this test lays out of them is what the daemon has.
async fn real_entries() -> Entries {
    let installation = logged(SIZE as u64).await;
    let dir = audit(&installation);
    let key = std::fs::read_to_string(installation.dir().join("audit.pub")).unwrap();
    let verified = verify(&dir, &VerifierKey::parse(&key).unwrap(), &[]).unwrap();
    let mut entries = entries_of(&dir, verified.checkpoint.size);
    let laid = installation.scratch().join("laid");
    Keys::new(1).lay(&laid, &entries);
    for path in ["tile/entries/000", "tile/0/000", "tile/0/001"] {
        let read = |dir: &Path| std::fs::read(dir.join(path)).unwrap();
        assert_eq!(read(&dir), read(&laid), "{path}");
    }
    entries.truncate(SIZE);
    entries
}

/// The command says the same as the library.
#[tokio::test]
async fn the_command_names_what_the_library_finds() {
    let installation = logged(20).await;
    let entries = real_entries().await;
    let keys = Keys::new(1);
    std::fs::write(
        installation.dir().join("audit.pub"),
        keys.instance.verifier.to_string(),
    )
    .unwrap();
    let dir = installation.scratch().join("forged");
    let kept = installation.scratch().join("kept");
    std::fs::write(&kept, keys.checkpoint(&entries, SIZE)).unwrap();
    let kept = ["--checkpoint", kept.to_str().unwrap()];
    let said = |words: &str, more: &[&str]| {
        let said = verify_by_command(&installation, &dir, more);
        assert_eq!(said.code, 1, "{words}: {said:?}");
        assert!(said.err.contains(words), "{words}: {said:?}");
    };
    keys.lay(&dir, &entries);
    verify_by_command(&installation, &dir, &kept).ok();
    let mut edited = entries.clone();
    rewrite_time(&mut edited[450]);
    lay_bundles(&dir, &edited, SIZE);
    said("entry 450: its bytes were changed", &[]);
    lay_tiles(&dir, &edited);
    said(
        "entries 400 to 499: entries and tiles were changed together",
        &[],
    );
    keys.lay(&dir, &edited);
    said(
        "entries 0 to 699: these are not the entries of the checkpoint given",
        &kept,
    );
    keys.lay(&dir, &entries[..600]);
    said("entry 600: the log ends at 600 entries", &kept);
    Keys::new(3).lay(&dir, &entries);
    said("not signed by kms", &[]);
}
