//! Grows the tree from where its files end, or from the first entry when they do not fit the last checkpoint. A
//! checkpoint that the entries contradict is the end of signing: somebody changed what had been signed.

use super::files::Files;
use super::{Signed, Signer};
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
    /// What was signed says otherwise.
    #[error(
        "the first {0} audit entries are not those that were signed: nothing is signed any more"
    )]
    Contradicted(u64),
    /// What was signed is no longer there.
    #[error(
        "the audit log ends at entry {found}, but was signed up to {signed}: its tail was cut, or an older copy put \
         back; nothing is signed any more"
    )]
    Cut {
        /// Entries there are.
        found: u64,
        /// Entries there were.
        signed: u64,
    },
    /// The store belongs to another log.
    #[error("the store knows the audit log {0:?}, which this is not: nothing is signed")]
    OtherOrigin(String),
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
    /// The newest signed root that the store knows: who takes the files away does not take this.
    head: Option<Checkpoint>,
    certified: u64,
}

struct Growing {
    edge: Edge,
    /// Entries of the bundle that is not full yet.
    bundle: Vec<u8>,
    /// What was signed and is not yet compared with; of greater sizes than the edge's.
    claims: Vec<Checkpoint>,
}

impl Growing {
    fn new(edge: Edge, claims: Vec<Checkpoint>) -> Result<Self, Problem> {
        let mut growing = Self {
            edge,
            bundle: Vec::new(),
            claims,
        };
        growing.settle()?;
        Ok(growing)
    }

    /// Compares with what was signed at this size.
    fn settle(&mut self) -> Result<(), Problem> {
        let size = self.edge.size();
        if self.claims.iter().all(|claim| claim.size != size) {
            return Ok(());
        }
        let root = self.edge.root();
        let contradicts = |claim: &Checkpoint| claim.size == size && claim.root != root;
        if self.claims.iter().any(contradicts) {
            return Err(Problem::Contradicted(size));
        }
        self.claims.retain(|claim| claim.size != size);
        Ok(())
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
            head: None,
            certified: 0,
        }
    }

    /// Entries that the newest checkpoint covers.
    pub(super) fn signed(&self) -> u64 {
        self.last.as_ref().map_or(0, |last| last.size)
    }

    /// Builds up to the durable end; with a signer also partial tiles and a checkpoint over them.
    /// Says what was signed, if anything was.
    pub(super) fn advance(&mut self, signer: Option<&Signer>) -> Result<Option<Signed>, Problem> {
        let head = signer.and_then(|signer| signer.head.as_ref());
        if head.is_some() && self.head.as_ref() != head {
            self.head = head.cloned();
            self.growing = None;
        }
        let grown = match self.growing.take() {
            Some(growing) => self.grow(growing)?,
            None => self.begin()?,
        };
        let signed = signer.map(|signer| self.sign(&grown, signer)).transpose()?;
        self.growing = Some(grown);
        Ok(signed.flatten())
    }

    /// Up to the durable end, from where the files end; from nothing when they contradict what was signed: the tiles
    /// may be what was changed, and the segments decide.
    fn begin(&mut self) -> Result<Growing, Problem> {
        let resumed = self.resume().and_then(|growing| self.grow(growing));
        match resumed {
            Err(Problem::Contradicted(_)) => {
                let growing = Growing::new(Edge::new(), self.claims()?)?;
                self.grow(growing)
            }
            resumed => resumed,
        }
    }

    /// All that was signed, as far as it is remembered.
    fn claims(&self) -> Result<Vec<Checkpoint>, Problem> {
        if let Some(head) = &self.head
            && head.origin != self.shared.origin
        {
            return Err(Problem::OtherOrigin(head.origin.clone()));
        }
        Ok(self.last.iter().chain(&self.head).cloned().collect())
    }

    /// From the full tiles of the oldest checkpoint to compare with; from nothing when they are not there.
    fn resume(&mut self) -> Result<Growing, Problem> {
        let note = self.directory.read_text(CHECKPOINT)?;
        let parsed = note.as_deref().map(Note::parse).and_then(Result::ok);
        let last = parsed.and_then(|note| Checkpoint::parse(note.text()).ok());
        self.last = last.filter(|last| last.origin == self.shared.origin);
        let size = self.signed();
        if let (Some(note), Some(_)) = (&note, &self.last) {
            self.files.write_history(size, note)?;
        }
        let claims = self.claims()?;
        let size = claims.iter().map(|claim| claim.size).min().unwrap_or(0);
        let full = size - size % TILE_WIDTH;
        let edge = Edge::resume(full, |tile| self.directory.tile(tile));
        Growing::new(edge.unwrap_or_default(), claims)
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
        let signed = growing.claims.iter().map(|claim| claim.size).max();
        match signed {
            None => Ok(growing),
            Some(signed) => Err(Problem::Cut {
                found: growing.edge.size(),
                signed,
            }),
        }
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
        growing.settle()
    }

    /// Nothing when nothing is new.
    fn sign(&mut self, growing: &Growing, signer: &Signer) -> Result<Option<Signed>, Problem> {
        if self.certified != signer.number {
            self.files
                .write_certificate(signer.number, &signer.certificate)?;
        } else if self.signed() == growing.edge.size() && self.last.is_some() {
            return Ok(None);
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
        // what the files have lost the store still knows: whoever takes all of them away shows
        let before = self.last.as_ref().or(self.head.as_ref());
        let text = checkpoint.text_after(before.map_or(0, |before| before.size));
        let signature = signer.key.sign(text.as_bytes());
        let note = format!("{text}\n{}", signature_line(&signer.verifier, &signature));
        if !Note::parse(&note).is_ok_and(|note| note.is_signed_by(&signer.verifier)) {
            return Err(Problem::Signature);
        }
        self.files.write_checkpoint(checkpoint.size, &note)?;
        self.last = Some(checkpoint.clone());
        self.certified = signer.number;
        Ok(Some(Signed { checkpoint, note }))
    }

    /// Keeps a checkpoint that witnesses cosigned; the newest one is replaced by it.
    pub(super) fn keep_cosigned(&mut self, signed: &Signed) -> Result<(), Problem> {
        let is_newest = self.last.as_ref() == Some(&signed.checkpoint);
        let size = signed.checkpoint.size;
        self.files.write_cosigned(size, &signed.note, is_newest)?;
        Ok(())
    }
}
