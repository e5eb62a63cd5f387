//! The one pass: bundles from the first to the last, the tree grown over them and compared with tiles and claims as
//! soon as each is complete.

use super::damage::{Damage, Found};
use super::{CheckEntry, Claim};
use crate::bundle::bundle_entries;
use crate::certificate::Keychain;
use crate::checkpoint::Checkpoint;
use crate::directory::{CHECKPOINT, Directory};
use crate::edge::Edge;
use crate::hash::{Hash, leaf_hash};
use crate::note::read_notes;
use crate::proof::Tiles as _;
use crate::tile::{TILE_WIDTH, Tile, entries_path, history_path};
use std::collections::BTreeMap;

pub(super) struct Pass<'a> {
    directory: &'a Directory,
    keys: &'a Keychain,
    newest: Checkpoint,
    edge: Edge,
    /// Claims not yet reached.
    claims: BTreeMap<u64, Vec<Claim>>,
    /// Size at which the last claim held: what is before is sound.
    sound: u64,
    /// Size at which the last external claim held.
    vouched: u64,
    held: u64,
    /// Entries before it are not read.
    first: u64,
    /// Size of the last checkpoint of the past that was read: the next one names it. `None` where reading began behind it.
    before: Option<u64>,
    /// Greatest size in the history beyond the newest checkpoint as it was read.
    beyond: u64,
}

impl<'a> Pass<'a> {
    pub(super) fn new(directory: &'a Directory, keys: &'a Keychain, newest: Checkpoint) -> Self {
        let mut claims: BTreeMap<u64, Vec<Claim>> = BTreeMap::new();
        let from = |size, root| Claim {
            size,
            root,
            is_external: false,
        };
        let certified = keys.certificates().iter();
        let certified = certified.map(|it| from(it.from_size, it.from_root));
        for claim in certified.chain([from(newest.size, newest.root)]) {
            claims.entry(claim.size).or_default().push(claim);
        }
        Self {
            directory,
            keys,
            newest,
            edge: Edge::new(),
            claims,
            sound: 0,
            vouched: 0,
            held: 0,
            first: 0,
            before: Some(0),
            beyond: 0,
        }
    }

    /// Begins with the bundle in which `kept` ends. The tiles that stand for what is before are believed because
    /// the root over them is the one of `kept`.
    pub(super) fn begin_at(&mut self, kept: Checkpoint) -> Result<(), Found> {
        let first = kept.size - kept.size % TILE_WIDTH;
        self.claim(kept, true)?;
        self.edge = Edge::resume(first, |tile| self.hashes(tile))?;
        self.first = first;
        if history_path(first) != history_path(0) {
            self.before = None;
        }
        self.claims = self.claims.split_off(&first);
        Ok(())
    }

    /// Takes up a checkpoint that the log must extend.
    pub(super) fn claim(&mut self, checkpoint: Checkpoint, is_external: bool) -> Result<(), Found> {
        let Checkpoint { size, root, .. } = checkpoint;
        if size < self.first {
            return Ok(());
        }
        if size > self.newest.size && !is_external {
            self.beyond = self.beyond.max(size);
            return Ok(());
        }
        if size > self.newest.size {
            return Err(self.cut(size));
        }
        self.claims.entry(size).or_default().push(Claim {
            size,
            root,
            is_external,
        });
        Ok(())
    }

    /// How many claims held.
    pub(super) fn run(
        mut self,
        check: CheckEntry<'_>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<u64, Found> {
        let size = self.newest.size;
        if let Some((beyond, _)) = self.claims.range(size + 1..).next() {
            return Err(self.cut(*beyond));
        }
        self.read_history(self.first)?;
        self.settle()?;
        for index in self.first / TILE_WIDTH..size.div_ceil(TILE_WIDTH) {
            self.bundle(index, check)?;
            progress(self.edge.size(), size);
        }
        for (tile, row) in self.edge.partial() {
            if tile.level > 0 {
                self.compare(tile, row)?;
            }
        }
        self.grown()?;
        Ok(self.held)
    }

    fn cut(&self, given: u64) -> Found {
        let found = self.newest.size;
        Found::at(found, Damage::Cut { given, found })
    }

    /// What the history holds beyond the newest checkpoint was signed while this was read: the newest one there is by now
    /// says so. Where it does not, somebody put an older one back.
    fn grown(&self) -> Result<(), Found> {
        if self.beyond == 0 {
            return Ok(());
        }
        let now = self.directory.read_text(CHECKPOINT).ok().flatten();
        let now = now.and_then(|note| self.keys.checkpoint(&note).ok());
        if now.is_some_and(|now| now.size >= self.beyond) {
            Ok(())
        } else {
            Err(self.cut(self.beyond))
        }
    }

    fn bundle(&mut self, index: u64, check: CheckEntry<'_>) -> Result<(), Found> {
        let first = index * TILE_WIDTH;
        let width = (self.newest.size - first).min(TILE_WIDTH);
        let tile = Tile {
            level: 0,
            index,
            width: u16::try_from(width).unwrap_or(u16::MAX),
        };
        let (path, bytes, is_whole) = self.read_bundle(tile)?;
        let hashes = self.hashes(tile)?;
        let mut entries = bundle_entries(&bytes);
        for (place, hash) in (first..).zip(&hashes) {
            let entry = match entries.next() {
                Some(Ok(entry)) => entry,
                Some(Err(_)) | None => return Err(Found::at(place, Damage::Missing)),
            };
            let sound = check(place, entry);
            let computed = leaf_hash(entry);
            if computed != *hash {
                let misplaced = matches!(sound, Err(Damage::Misplaced { .. }));
                let damage = sound.err().filter(|_| misplaced);
                return Err(Found::at(place, damage.unwrap_or(Damage::Changed)));
            }
            sound.map_err(|damage| Found::at(place, damage))?;
            self.push(computed)?;
        }
        // a bundle that grew since the checkpoint holds more, and rightly
        if is_whole && entries.next().is_some() {
            return Err(Found::at(first + width, Damage::Surplus(path)));
        }
        Ok(())
    }

    fn read_bundle(&self, tile: Tile) -> Result<(String, Vec<u8>, bool), Found> {
        for width in [tile.width, 256] {
            let path = entries_path(tile.index, width);
            let unreadable = |error: std::io::Error| {
                let damage = Damage::Unreadable(path.clone(), error.to_string());
                Found::at(tile.leaves().0, damage)
            };
            if let Some(bytes) = self.directory.read(&path).map_err(unreadable)? {
                return Ok((path, bytes, width == tile.width));
            }
        }
        let (first, end) = tile.leaves();
        Err(Found::between(first, end, Damage::Missing))
    }

    fn hashes(&self, tile: Tile) -> Result<Vec<Hash>, Found> {
        self.directory.tile(tile).map_err(|_| {
            let (first, end) = tile.leaves();
            Found::between(first, end, Damage::TileMissing(tile.path()))
        })
    }

    fn push(&mut self, leaf: Hash) -> Result<(), Found> {
        let mut full = Vec::new();
        self.edge.push(leaf, |(tile, row)| {
            if tile.level > 0 {
                full.push((tile, row.to_vec()));
            }
        });
        for (tile, row) in full {
            self.compare(tile, &row)?;
        }
        if self.edge.size().is_multiple_of(1 << 16) {
            self.read_history(self.edge.size())?;
        }
        self.settle()
    }

    /// A tile in the directory must hold what was computed.
    fn compare(&self, tile: Tile, computed: &[Hash]) -> Result<(), Found> {
        let found = self.hashes(tile)?;
        let differs = found.iter().zip(computed).position(|(a, b)| a != b);
        let Some(at) = differs else { return Ok(()) };
        let (first, end) = tile.leaves();
        let each = (end - first) / u64::from(tile.width).max(1);
        let first = first + each * at as u64;
        Err(Found::between(
            first,
            first + each,
            Damage::TileChanged(tile.path()),
        ))
    }

    /// The checkpoints of the past from `size` on, as far as one file goes.
    fn read_history(&mut self, size: u64) -> Result<(), Found> {
        let path = history_path(size);
        let read = self.directory.read_text(&path);
        let unreadable = |error: &dyn std::fmt::Display| {
            let damage = Damage::Unreadable(path.clone(), error.to_string());
            Found::nowhere(damage)
        };
        let text = read
            .map_err(|error| unreadable(&error))?
            .unwrap_or_default();
        let notes = read_notes(&text).map_err(|error| unreadable(&error))?;
        let mut has_newest = false;
        for (_, note) in notes {
            let past = self.keys.signed(&note);
            let past = past.map_err(|error| Found::nowhere(Damage::Untrusted(error)))?;
            has_newest |= past == self.newest;
            self.follow(Checkpoint::before(note.text()), past.size)?;
            self.claim(past, false)?;
        }
        if !has_newest && history_path(self.newest.size) == path {
            return Err(Found::nowhere(Damage::History));
        }
        Ok(())
    }

    /// Whether the checkpoint of `size` follows the one read last, as far as it says which it follows.
    fn follow(&mut self, names: Option<u64>, size: u64) -> Result<(), Found> {
        let before = self.before.replace(size);
        match (before, names) {
            (Some(before), Some(names)) if before != names => {
                let damage = Damage::CheckpointMissing(names);
                Err(Found::between(before.min(names), before.max(names), damage))
            }
            _ => Ok(()),
        }
    }

    /// Compares with what was signed at this size.
    fn settle(&mut self) -> Result<(), Found> {
        let size = self.edge.size();
        let Some(claims) = self
            .claims
            .first_entry()
            .filter(|first| *first.key() <= size)
            .map(std::collections::btree_map::OccupiedEntry::remove)
        else {
            return Ok(());
        };
        let root = self.edge.root();
        self.held += claims.len() as u64;
        let fails = |claim: &&Claim| claim.size != size || claim.root != root;
        // the log's own signed roots first: they narrow it down further
        if claims
            .iter()
            .filter(|claim| !claim.is_external)
            .any(|claim| fails(&claim))
        {
            return Err(Found::between(self.sound, size, Damage::Root(size)));
        }
        if claims.iter().any(|claim| fails(&claim)) {
            return Err(Found::between(self.vouched, size, Damage::Forked(size)));
        }
        self.sound = size;
        if claims.iter().any(|claim| claim.is_external) {
            self.vouched = size;
        }
        Ok(())
    }
}
