//! Is the wall clock synchronised? Asked of what the operator configured; never guessed.

use crate::config::SynchronisedProbe;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A probe that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(10);

/// Asks. Without a probe nothing is known against the clock: `true`. Blocks up to 5 s for a command.
#[must_use]
pub fn is_synchronised(probe: Option<&SynchronisedProbe>) -> bool {
    match probe {
        None => true,
        Some(SynchronisedProbe::File(path)) => path.exists(),
        Some(SynchronisedProbe::Command(words)) => succeeds(words),
    }
}

fn succeeds(words: &[String]) -> bool {
    let Some((program, arguments)) = words.split_first() else {
        return false;
    };
    let started = Command::new(program)
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    started.is_ok_and(|child| ends_within(child, PATIENCE))
}

/// Waits for a program, not longer than `patience`; `true` when it said that all went well.
pub(super) fn ends_within(child: Child, patience: Duration) -> bool {
    ends_well(child, Instant::now() + patience)
}

fn ends_well(mut child: Child, until: Instant) -> bool {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if Instant::now() < until => std::thread::sleep(STEP),
            Ok(None) | Err(_) => {
                // Already failed: killing and reaping only keeps the process table clean.
                let _ = child.kill();
                let _ = child.wait();
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_commands_answer() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("synchronized");
        let probe = SynchronisedProbe::File(file.clone());
        assert!(!is_synchronised(Some(&probe)));
        std::fs::write(&file, "").unwrap();
        assert!(is_synchronised(Some(&probe)));
        for (words, answer) in [
            (&["/bin/sh", "-c", "exit 0"][..], true),
            (&["/bin/sh", "-c", "exit 3"], false),
            // The environment is empty: no PATH to plant programs in, no secrets to leak.
            (&["/bin/sh", "-c", "test -z \"$HOME\""], true),
            (&["/no/such/program"], false),
            (&[], false),
        ] {
            let words = words.iter().map(|word| (*word).to_owned()).collect();
            let probe = SynchronisedProbe::Command(words);
            assert_eq!(is_synchronised(Some(&probe)), answer, "{probe:?}");
        }
        assert!(is_synchronised(None));
    }

    #[test]
    fn a_command_that_hangs_is_ended() {
        let child = Command::new("/bin/sleep").arg("1000").spawn().unwrap();
        assert!(!ends_well(child, Instant::now()));
    }
}
