//! Grows the tree from where its files end, or from the first entry when they do not fit the last checkpoint. A
//! checkpoint that the entries contradict is the end of signing: somebody changed what had been signed.

use super::Signer;
use super::files::Files;
use crate::audit_log::Shared;
use crate::audit_log::reading::walk_forward;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use tlog::proof::Tiles as _;
use tlog::{
    CHECKPOINT, Checkpoint, Directory, Edge, Hash, Note, TILE_WIDTH, Tile, leaf_hash, push_entry,
    signature_line,
};

/// Why the tree does not grow.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    /// The disk says no.
    #[error("the files of the audit log's tree: {0}")]
    Io(#[from] io::Error),
    /// A gap in the segments.
    #[error("audit entry {0} cannot be read: the log is proven up to there only")]
    Gap(u64),
    /// The last checkpoint says otherwise.
    #[error(
        "the first {0} audit entries are not those that were signed: nothing is signed any more"
    )]
    Contradicted(u64),
    /// The signature just made does not verify.
    #[error("the log key does not sign what it certifies")]
    Signature,
}

pub(super) struct Builder {
    shared: Arc<Shared>,
    files: Files,
    directory: Directory,
    /// `None` until it is known where to go on.
    growing: Option<Growing>,
    /// The newest checkpoint, as signed before.
    last: Option<Checkpoint>,
    certified: u64,
}

struct Growing {
    edge: Edge,
    /// Entries of the bundle that is not full yet.
    bundle: Vec<u8>,
    /// Not yet compared with the last checkpoint.
    unproven: bool,
}

impl Growing {
    const fn new(edge: Edge) -> Self {
        Self {
            edge,
            bundle: Vec::new(),
            unproven: true,
        }
    }
}

impl Builder {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            files: Files::new(&shared.dir),
            directory: Directory::new(&shared.dir),
            shared,
            growing: None,
            last: None,
            certified: 0,
        }
    }

    /// Entries that the newest checkpoint covers.
    pub(super) fn signed(&self) -> u64 {
        self.last.as_ref().map_or(0, |last| last.size)
    }

    /// Builds up to the durable end; with a signer also partial tiles and a checkpoint over them.
    pub(super) fn advance(&mut self, signer: Option<&Signer>) -> Result<(), Problem> {
        let resumed = match self.growing.take() {
            Some(growing) => growing,
            None => self.resume()?,
        };
        let begun_at = resumed.edge.size();
        let grown = match self.grow(resumed) {
            // the tiles may be what was changed: the segments decide
            Err(Problem::Contradicted(_)) if begun_at > 0 => self.grow(Growing::new(Edge::new())),
            grown => grown,
        }?;
        if let Some(signer) = signer {
            self.sign(&grown, signer)?;
        }
        self.growing = Some(grown);
        Ok(())
    }

    /// From the full tiles of the last checkpoint; from nothing when they are not there.
    fn resume(&mut self) -> Result<Growing, Problem> {
        let note = self.directory.read_text(CHECKPOINT)?;
        let parsed = note.as_deref().map(Note::parse).and_then(Result::ok);
        let last = parsed.and_then(|note| Checkpoint::parse(note.text()).ok());
        self.last = last.filter(|last| last.origin == self.shared.origin);
        let size = self.signed();
        if let (Some(note), Some(_)) = (&note, &self.last) {
            self.files.write_history(size, note)?;
        }
        let full = size - size % TILE_WIDTH;
        let edge = Edge::resume(full, |tile| self.directory.tile(tile));
        Ok(Growing::new(edge.unwrap_or_default()))
    }

    /// Up to what is durable now; what comes meanwhile is the next turn's, so that a busy log is signed too.
    fn grow(&mut self, mut growing: Growing) -> Result<Growing, Problem> {
        let end = self.shared.segments.len();
        while growing.edge.size() < end {
            let before = growing.edge.size();
            self.pass(&mut growing)?;
            // a segment ended in between, or nothing more can be read
            if growing.edge.size() == before {
                return Err(Problem::Gap(before));
            }
        }
        // also of a log that ends before its checkpoint
        if growing.unproven && self.signed() > 0 {
            let size = growing.edge.size();
            return Err(Problem::Contradicted(self.signed().max(size)));
        }
        Ok(growing)
    }

    fn pass(&mut self, growing: &mut Growing) -> Result<(), Problem> {
        let shared = Arc::clone(&self.shared);
        let mut problem = None;
        walk_forward(
            &shared.segments,
            growing.edge.size(),
            |sequence, leaf| match self.add(growing, sequence, leaf) {
                Ok(()) => ControlFlow::Continue(()),
                Err(found) => {
                    problem = Some(found);
                    ControlFlow::Break(())
                }
            },
        )?;
        problem.map_or(Ok(()), Err)
    }

    fn add(&mut self, growing: &mut Growing, sequence: u64, leaf: &[u8]) -> Result<(), Problem> {
        let place = growing.edge.size();
        if sequence != place || !push_entry(&mut growing.bundle, leaf) {
            return Err(Problem::Gap(place));
        }
        let mut full: Vec<(Tile, Vec<Hash>)> = Vec::new();
        growing.edge.push(leaf_hash(leaf), |(tile, row)| {
            full.push((tile, row.to_vec()))
        });
        for (tile, row) in full {
            if tile.level == 0 {
                let bundle = std::mem::take(&mut growing.bundle);
                self.files.write_bundle(tile, &bundle)?;
            }
            self.files.write_tile(tile, &row)?;
        }
        if let Some(last) = &self.last
            && growing.unproven
            && last.size == growing.edge.size()
        {
            if last.root != growing.edge.root() {
                return Err(Problem::Contradicted(last.size));
            }
            growing.unproven = false;
        }
        Ok(())
    }

    fn sign(&mut self, growing: &Growing, signer: &Signer) -> Result<(), Problem> {
        if self.certified != signer.number {
            self.files
                .write_certificate(signer.number, &signer.certificate)?;
        } else if self.signed() == growing.edge.size() && self.last.is_some() {
            return Ok(());
        }
        for (tile, row) in growing.edge.partial() {
            if tile.level == 0 {
                self.files.write_bundle(tile, &growing.bundle)?;
            }
            self.files.write_tile(tile, row)?;
        }
        let checkpoint = Checkpoint {
            origin: self.shared.origin.clone(),
            size: growing.edge.size(),
            root: growing.edge.root(),
        };
        let text = checkpoint.text();
        let signature = signer.key.sign(text.as_bytes());
        let note = format!("{text}\n{}", signature_line(&signer.verifier, &signature));
        if !Note::parse(&note).is_ok_and(|note| note.is_signed_by(&signer.verifier)) {
            return Err(Problem::Signature);
        }
        self.files.write_checkpoint(checkpoint.size, &note)?;
        self.last = Some(checkpoint);
        self.certified = signer.number;
        Ok(())
    }
}
