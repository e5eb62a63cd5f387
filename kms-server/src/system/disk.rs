//! How much of a disk is left.

use std::io;
use std::path::Path;

/// Bytes that an unprivileged process may still write on the disk of `path`.
///
/// # Errors
/// As the operating system says.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_of_a_directory_has_a_size_and_a_missing_one_has_not() {
        let place = tempfile::tempdir().unwrap();
        assert!(free_bytes(place.path()).unwrap() > 0);
        assert!(free_bytes(&place.path().join("missing")).is_err());
    }
}
