//! How much of a disk is left, and for how long.

use std::io;
use std::path::Path;
use std::time::Duration;

/// A pace that was watched for less says nothing.
const WATCHED_MIN: Duration = Duration::from_mins(10);

/// A file system's room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Room {
    /// Bytes that an unprivileged process may still write.
    pub free: u64,
    /// Bytes in all.
    pub total: u64,
}

/// The room on the disk of `path`.
///
/// # Errors
/// As the operating system says.
pub fn room(path: &Path) -> io::Result<Room> {
    let found = rustix::fs::statvfs(path)?;
    Ok(Room {
        free: found.f_bavail.saturating_mul(found.f_frsize),
        total: found.f_blocks.saturating_mul(found.f_frsize),
    })
}

/// How long `free` bytes last when `written` came in `watched`; `None` while that is too short to say, or nothing
/// was written.
#[must_use]
pub fn lasts(free: u64, written: u64, watched: Duration) -> Option<Duration> {
    if written == 0 || watched < WATCHED_MIN {
        return None;
    }
    let seconds = u128::from(free) * u128::from(watched.as_secs()) / u128::from(written);
    Some(Duration::from_secs(
        u64::try_from(seconds).unwrap_or(u64::MAX),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_of_a_directory_has_a_size_and_a_missing_one_has_not() {
        let place = tempfile::tempdir().unwrap();
        let found = room(place.path()).unwrap();
        assert!(found.free > 0 && found.total >= found.free);
        assert!(room(&place.path().join("missing")).is_err());
    }

    #[test]
    fn a_disk_lasts_as_long_as_its_pace_says() {
        let day = Duration::from_hours(24);
        assert_eq!(lasts(30, 10, day), Some(day * 3));
        assert_eq!(lasts(0, 10, day), Some(Duration::ZERO));
        assert_eq!(lasts(30, 0, day), None);
        assert_eq!(lasts(30, 10, Duration::from_secs(599)), None);
        assert_eq!(lasts(u64::MAX, 1, day), Some(Duration::from_secs(u64::MAX)));
    }
}
