//! Files with secrets, and files that must be wholly old or wholly new. Never follows a file that others
//! could have read or changed.

use super::directory;
use rustix::fs::{FlockOperation, flock};
use rustix::process::geteuid;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Most bytes that a secret file may have.
pub const SECRET_MAX: u64 = 64 * 1024;

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Others may read or change it.
    #[error("{0} may be read or changed by others (mode {1:04o}): run chmod 600 on it")]
    Open(PathBuf, u32),
    /// It belongs to someone else.
    #[error("{0} belongs to user {1}, who is neither root nor this process's user")]
    Foreign(PathBuf, u32),
    /// It is too long to be what it should be.
    #[error("{0} is longer than {1} bytes")]
    TooLong(PathBuf, u64),
    /// The operating system's word.
    #[error("{0}: {1}")]
    Failed(PathBuf, #[source] io::Error),
}

/// Reads a file that holds a secret: at most [`SECRET_MAX`] bytes, ours or root's, mode 0600 or less.
/// Files under `$CREDENTIALS_DIRECTORY` are systemd's: the service manager guards that directory and
/// shows a group bit where it uses an access list.
///
/// # Errors
/// [`Refused`].
pub fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, Refused> {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let guarded = credentials.is_some_and(|directory| path.starts_with(directory));
    read_secret_from(path, guarded)
}

fn read_secret_from(path: &Path, guarded: bool) -> Result<Zeroizing<Vec<u8>>, Refused> {
    let failed = |error| Refused::Failed(path.to_owned(), error);
    let file = File::open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    let mode = found.mode() & 0o7777;
    let forbidden = if guarded { 0o037 } else { 0o077 };
    if mode & forbidden != 0 {
        return Err(Refused::Open(path.to_owned(), mode));
    }
    if ![0, geteuid().as_raw()].contains(&found.uid()) {
        return Err(Refused::Foreign(path.to_owned(), found.uid()));
    }
    if found.len() > SECRET_MAX {
        return Err(Refused::TooLong(path.to_owned(), SECRET_MAX));
    }
    let capacity = usize::try_from(found.len()).unwrap_or(0) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    file.take(SECRET_MAX)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(bytes)
}

/// Puts `bytes` in the place of the file, mode 0600: written beside, synced, renamed, the directory
/// synced. After a crash at any step it is wholly old or wholly new.
///
/// # Errors
/// As the operating system says; the file is then as before.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_with_mode(path, bytes, 0o600)
}

/// As [`replace`], for what everyone may read: mode 0644.
///
/// # Errors
/// As the operating system says; the file is then as before.
pub fn replace_public(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_with_mode(path, bytes, 0o644)
}

fn replace_with_mode(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let directory = path.parent().filter(|it| !it.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut beside = name.to_owned();
    beside.push(".new");
    let beside = directory.join(beside);
    let written = write_beside(&beside, bytes, mode);
    if let Err(error) = written.and_then(|()| std::fs::rename(&beside, path)) {
        // What is left of a full disk's attempt helps nobody; the error that matters is the first.
        let _ = std::fs::remove_file(&beside);
        return Err(error);
    }
    directory::sync(directory)
}

fn write_beside(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(mode)
        .open(path)?;
    // Two writers of one file would mix their bytes: the second waits for none and fails.
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    file.set_len(0)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().mode() & 0o7777
    }

    #[test]
    fn secrets_that_others_may_read_are_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("secret");
        replace(&path, b"one").unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(read_secret(&path).unwrap().as_slice(), b"one");
        for open in [0o604, 0o640, 0o660, 0o602, 0o644] {
            std::fs::set_permissions(&path, Permissions::from_mode(open)).unwrap();
            let told = read_secret(&path).unwrap_err().to_string();
            assert!(told.contains("chmod 600"), "{told}");
        }
        // A systemd credential may show its group's read bit, and nothing more.
        std::fs::set_permissions(&path, Permissions::from_mode(0o440)).unwrap();
        assert!(read_secret_from(&path, true).is_ok());
        std::fs::set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
        assert!(read_secret_from(&path, true).is_err());
    }

    #[test]
    fn long_and_missing_files_are_named() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("secret");
        assert!(matches!(read_secret(&path), Err(Refused::Failed(..))));
        replace(&path, &[0; SECRET_MAX as usize + 1]).unwrap();
        assert!(matches!(read_secret(&path), Err(Refused::TooLong(..))));
    }

    #[test]
    fn replacing_leaves_one_file_and_overwrites_a_torn_attempt() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        replace_public(&path, b"old").unwrap();
        assert_eq!(mode(&path), 0o644);
        // A crash left half of an attempt, longer than the next one.
        std::fs::write(place.path().join("file.new"), [7; 100]).unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(place.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn a_failed_attempt_leaves_the_old_file() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        replace(&path, b"old").unwrap();
        std::fs::create_dir(place.path().join("file.new")).unwrap();
        assert!(replace(&path, b"new").is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
    }
}
