//! Runs the binary in a directory of its own, with nobody at the terminal.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A directory to run in.
pub(crate) struct Kit(tempfile::TempDir);

/// What a run left.
pub(crate) struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Kit {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    /// The names in the directory, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// A profile of a service that nobody runs: the port is one that was free a moment ago.
    pub(crate) fn write_profile(&self) {
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        self.write("cert.pem", certificate.pem().as_bytes());
        self.write("key.pem", key.serialize_pem().as_bytes());
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let profile = format!(
            "address = \"{}\"\npins = [\"sha256/{}=\"]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n",
            free.local_addr().unwrap(),
            "A".repeat(43)
        );
        self.write("profile.toml", profile.as_bytes());
    }

    /// Runs `kms` with the words of `line`.
    pub(crate) fn run(&self, line: &str) -> Run {
        self.run_in(self.0.path(), line, &[])
    }

    /// As [`Kit::run`], with a profile.
    pub(crate) fn run_with_profile(&self, line: &str) -> Run {
        self.run_in(self.0.path(), line, &[("KMS_PROFILE", "profile.toml")])
    }

    fn run_in(&self, directory: &Path, line: &str, variables: &[(&str, &str)]) -> Run {
        let output = Command::new(env!("CARGO_BIN_EXE_kms"))
            .args(line.split(' ').filter(|word| !word.is_empty()))
            .current_dir(directory)
            .env_remove("KMS_PROFILE")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Run {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Run {
    /// It failed with this code and one line on stderr that says `words`.
    #[track_caller]
    pub(crate) fn failed(&self, code: i32, words: &str) {
        assert_eq!(self.code, code, "{}", self.stderr);
        assert_eq!(self.stderr.lines().count(), 1, "{}", self.stderr);
        assert!(self.stderr.starts_with("kms: "), "{}", self.stderr);
        assert!(self.stderr.contains(words), "{}", self.stderr);
        assert_eq!(self.stdout, "");
    }
}
