//! The files of an identity: written aside with mode 0600, synced, then renamed, so that readers see the old one whole or
//! the new one whole. What is not finished is removed.

use super::validity::Validity;
use crate::error::{Error, ErrorKind};
use data_encoding::BASE64;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// A file without its name yet.
pub(super) struct Aside {
    path: Option<PathBuf>,
    file: File,
}

fn failed(path: &Path, error: &io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("{}: {error}", path.display()))
}

impl Aside {
    /// In `directory`, which is made if it is not there.
    pub(super) fn new(directory: &Path) -> Result<Self, Error> {
        let directory = if directory.as_os_str().is_empty() {
            Path::new(".")
        } else {
            directory
        };
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder
            .create(directory)
            .map_err(|error| failed(directory, &error))?;
        let random: [u8; 8] = crate::random::make_bytes()
            .map_err(|_| Error::new(ErrorKind::Internal, "the system has no random bytes"))?;
        let name = data_encoding::HEXLOWER.encode(&random);
        let path = directory.join(format!(".{name}.new"));
        let mut options = OpenOptions::new();
        let options = options.write(true).create_new(true).mode(0o600);
        let file = options.open(&path).map_err(|error| failed(&path, &error))?;
        Ok(Self {
            path: Some(path),
            file,
        })
    }

    pub(super) fn write(&mut self, text: &str) -> Result<(), Error> {
        let written = self.file.write_all(text.as_bytes());
        let written = written.and_then(|()| self.file.sync_all());
        let path = self.path.as_deref().unwrap_or(Path::new(""));
        written.map_err(|error| failed(path, &error))
    }

    /// Adds certificates, our own first; when that one is valid.
    pub(super) fn add_chain(&mut self, chain: &[impl AsRef<[u8]>]) -> Result<Validity, Error> {
        let own = chain.first().and_then(|own| Validity::of(own.as_ref()));
        let own = own.ok_or_else(|| Error::corrupted("the answer holds no certificate"))?;
        for certificate in chain {
            let text = BASE64.encode(certificate.as_ref());
            let lines: Vec<_> = text
                .as_bytes()
                .chunks(64)
                .map(String::from_utf8_lossy)
                .collect();
            let body = lines.join("\n");
            self.write(&format!(
                "-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"
            ))?;
        }
        Ok(own)
    }

    /// Gets its name; what had it before is gone.
    pub(super) fn become_file(mut self, name: &Path) -> Result<(), Error> {
        let Some(path) = self.path.take() else {
            return Ok(());
        };
        let directory = name.parent().filter(|it| !it.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        fs::rename(&path, name)
            .and_then(|()| File::open(directory)?.sync_all())
            .map_err(|error| failed(name, &error))
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            // what cannot be removed is a key that nobody certified
            let _ = fs::remove_file(path);
        }
    }
}

/// The part of a resource name that files are called by. An answer cannot choose another directory.
pub(super) fn file_name(resource: &str) -> Result<&str, Error> {
    let name = resource.strip_prefix("services/").unwrap_or_default();
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-');
    let begins = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    if begins && name.len() <= 63 && name.bytes().all(fits) {
        return Ok(name);
    }
    Err(Error::corrupted("the answer names no service"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_file_appears_whole_and_private_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("made");
        let name = directory.join("web.pem");
        let mut aside = Aside::new(&directory).unwrap();
        aside.write("half").unwrap();
        drop(aside);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
        for text in ["one", "two"] {
            let mut aside = Aside::new(&directory).unwrap();
            aside.write(text).unwrap();
            aside.become_file(&name).unwrap();
            assert_eq!(fs::read_to_string(&name).unwrap(), text);
        }
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&directory), mode(&name)), (0o700, 0o600));
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
    }

    #[test]
    fn an_answer_chooses_no_path() {
        assert_eq!(file_name("services/web-1.eu").unwrap(), "web-1.eu");
        for bad in [
            "services/../x",
            "services/",
            "web",
            "services/a/b",
            "services/.x",
            "services/A",
        ] {
            assert!(file_name(bad).is_err(), "{bad}");
        }
    }
}
