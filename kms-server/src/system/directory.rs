//! Directories that hold keys: ours alone. Never changes the permissions of one that exists: someone
//! else may have read it already, and that must be seen.

use rustix::process::geteuid;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The directory cannot be trusted with keys.
#[derive(Debug, thiserror::Error)]
pub enum Unsafe {
    /// Others may enter.
    #[error(
        "{0} may be entered by others (mode {1:04o}): run chmod 700 on it, and look who could read it until now"
    )]
    Open(PathBuf, u32),
    /// It belongs to someone else.
    #[error("{0} belongs to user {1}, but this process runs as user {2}")]
    Foreign(PathBuf, u32, u32),
    /// It is not there or cannot be looked at.
    #[error("{0}: {1}")]
    Unreadable(PathBuf, #[source] io::Error),
    /// Something else has this name.
    #[error("{0} is not a directory")]
    NotDirectory(PathBuf),
}

/// The directory must be there, belong to this process's user, and give nobody else any right.
///
/// # Errors
/// [`Unsafe`] says why not and what to do.
pub fn check_private(path: &Path) -> Result<(), Unsafe> {
    let unreadable = |error| Unsafe::Unreadable(path.to_owned(), error);
    let found = path.metadata().map_err(unreadable)?;
    if !found.is_dir() {
        return Err(Unsafe::NotDirectory(path.to_owned()));
    }
    let us = geteuid().as_raw();
    if found.uid() != us {
        return Err(Unsafe::Foreign(path.to_owned(), found.uid(), us));
    }
    let mode = found.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(Unsafe::Open(path.to_owned(), mode));
    }
    Ok(())
}

/// Makes the directory with mode 0700, or checks the one that is there.
///
/// # Errors
/// [`Unsafe`].
pub fn create_private(path: &Path) -> Result<(), Unsafe> {
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(Unsafe::Unreadable(path.to_owned(), error))
        }
        _ => check_private(path),
    }
}

/// Makes the directory's entries durable.
///
/// # Errors
/// As the operating system says.
pub fn sync(path: &Path) -> io::Result<()> {
    std::fs::File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn any_right_of_others_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("data");
        create_private(&path).unwrap();
        for mode in [0o701, 0o702, 0o704, 0o710, 0o720, 0o740, 0o755, 0o777] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let told = check_private(&path).unwrap_err().to_string();
            assert!(told.contains(&format!("mode {mode:04o}")), "{told}");
            assert!(told.contains("chmod 700"), "{told}");
            assert!(create_private(&path).is_err());
        }
        std::fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        check_private(&path).unwrap();
    }

    #[test]
    fn missing_directories_and_files_are_named() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("data");
        assert!(matches!(check_private(&path), Err(Unsafe::Unreadable(..))));
        std::fs::write(&path, "").unwrap();
        assert!(matches!(check_private(&path), Err(Unsafe::NotDirectory(_))));
        assert!(create_private(&path).is_err());
    }
}
