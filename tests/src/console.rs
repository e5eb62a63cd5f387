//! Runs `kms` as a person would, and keeps what it said.

use crate::binaries;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A second has passed after so many runs, or something else is wrong.
const TRIES: usize = 200;

/// A profile to run under.
#[derive(Debug, Clone)]
pub struct Console {
    profile: PathBuf,
    folder: PathBuf,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Said {
    /// Exit code; 128 + the signal's number when killed.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Itself, when the run succeeded; else the test ends here.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "kms failed: {self:?}");
        self
    }

    /// Standard output as JSON.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Console {
    /// Runs under `profile` in `folder`.
    #[must_use]
    pub fn new(profile: &Path, folder: &Path) -> Self {
        Self {
            profile: profile.to_path_buf(),
            folder: folder.to_path_buf(),
        }
    }

    /// The command, for a test that wants to do more with it.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binaries::kms());
        command
            .current_dir(&self.folder)
            .env_remove("KMS_PROFILE")
            .env("XDG_RUNTIME_DIR", &self.folder)
            .arg("--profile")
            .arg(&self.profile)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs what others must approve: asks, and asks again with the approval until the delay of a development
    /// installation's small team has passed.
    #[must_use]
    pub fn insist(&self, args: &[&str]) -> Said {
        let first = self.run(args);
        let Some((_, id)) = first.err.trim_end().rsplit_once("--approval ") else {
            return first;
        };
        let args = [args, &["--approval", id]].concat();
        let mut again = self.run(&args);
        for _ in 0..TRIES {
            if !again.err.contains("APPROVAL_REQUIRED") {
                break;
            }
            again = self.run(&args);
        }
        again
    }

    /// Runs to the end, without input.
    #[must_use]
    pub fn run(&self, args: &[&str]) -> Said {
        let output = self.command(args).output().expect("kms can be run");
        said(&output)
    }
}

/// What a finished command said.
#[must_use]
pub fn said(output: &std::process::Output) -> Said {
    use std::os::unix::process::ExitStatusExt;
    let status = output.status;
    Said {
        code: status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
