//! Files of the tree: each written beside and renamed, so that a reader sees it whole or not at all. What a
//! checkpoint speaks of is durable before the checkpoint is written: one sync of the file system for all of it. What
//! a crash tore lies behind the last checkpoint, and is written again.

use crate::system::private_file;
use rustix::fs::syncfs;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use tlog::{
    CERTIFICATES, CHECKPOINT, COSIGNED, Hash, Tile, certificate_name, entries_path, history_path,
};

pub(super) struct Files {
    dir: PathBuf,
    /// Something was written that may not be durable yet.
    unsynced: bool,
}

impl Files {
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            unsynced: false,
        }
    }

    pub(super) fn write_tile(&mut self, tile: Tile, hashes: &[Hash]) -> io::Result<()> {
        let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.0).collect();
        self.write(&tile.path(), &bytes)?;
        self.drop_partial(tile, &tile.path())
    }

    pub(super) fn write_bundle(&mut self, tile: Tile, bundle: &[u8]) -> io::Result<()> {
        let path = entries_path(tile.index, tile.width);
        self.write(&path, bundle)?;
        self.drop_partial(tile, &path)
    }

    /// Partial files go once the full one is there.
    fn drop_partial(&self, tile: Tile, path: &str) -> io::Result<()> {
        if !tile.is_full() {
            return Ok(());
        }
        match std::fs::remove_dir_all(self.dir.join(format!("{path}.p"))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn write(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.dir.join(path);
        let folder = path.parent().unwrap_or(&self.dir).to_owned();
        self.make_folder(&folder)?;
        let beside = path.with_extension("making");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        self.unsynced = true;
        options.open(&beside)?.write_all(bytes)?;
        std::fs::rename(&beside, &path)
    }

    fn make_folder(&mut self, folder: &Path) -> io::Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        self.unsynced = true;
        let builder = &mut DirBuilder::new();
        builder.recursive(true).mode(0o700).create(folder)
    }

    /// Hundreds of small files a second: each synced by itself they would take the disk away from the log.
    fn sync(&mut self) -> io::Result<()> {
        if self.unsynced {
            syncfs(File::open(&self.dir)?)?;
            self.unsynced = false;
        }
        Ok(())
    }

    /// Makes everything before durable, then the checkpoint, then its place in the history.
    pub(super) fn write_checkpoint(&mut self, size: u64, note: &str) -> io::Result<()> {
        self.sync()?;
        private_file::replace(&self.dir.join(CHECKPOINT), note.as_bytes())?;
        self.write_history(size, note)
    }

    /// A checkpoint with the signatures of witnesses; `is_newest`: where the newest one and its history lie, too.
    pub(super) fn write_cosigned(
        &mut self,
        size: u64,
        note: &str,
        is_newest: bool,
    ) -> io::Result<()> {
        private_file::replace(&self.dir.join(COSIGNED), note.as_bytes())?;
        if is_newest {
            self.write_checkpoint(size, note)?;
        }
        Ok(())
    }

    /// Ends the history with this note: what a torn attempt began is completed.
    pub(super) fn write_history(&mut self, size: u64, note: &str) -> io::Result<()> {
        let path = self.dir.join(history_path(size));
        let folder = path.parent().unwrap_or(&self.dir).to_owned();
        self.make_folder(&folder)?;
        let written = match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read?,
        };
        let begun = (0..=note.len())
            .rev()
            .find(|len| written.ends_with(note.as_bytes().get(..*len).unwrap_or_default()));
        let missing = note
            .as_bytes()
            .get(begun.unwrap_or(0)..)
            .unwrap_or_default();
        let mut options = OpenOptions::new();
        let mut file: File = options.append(true).create(true).mode(0o600).open(&path)?;
        file.write_all(missing)?;
        file.sync_data()?;
        self.unsynced |= written.is_empty();
        self.sync()
    }

    /// The certificate of a log key, where an auditor finds it.
    pub(super) fn write_certificate(&mut self, number: u64, note: &str) -> io::Result<()> {
        let folder = self.dir.join(CERTIFICATES);
        let path = folder.join(certificate_name(number));
        if std::fs::read(&path).is_ok_and(|found| found == note.as_bytes()) {
            return Ok(());
        }
        self.make_folder(&folder)?;
        private_file::replace(&path, note.as_bytes())?;
        self.sync()
    }
}
