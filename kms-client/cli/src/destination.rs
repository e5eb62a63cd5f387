//! Where a file operation writes. A regular file appears under its name only when it is whole and on the
//! disk; until then it has no name at all where the file system allows that, so that not even a kill
//! leaves half of it behind.

use crate::exit::Failure;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use std::fmt;
use std::fs::{File, Permissions};
use std::io::{self, IoSlice, IsTerminal as _, Write};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tempfile::TempPath;

/// Who may read a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Privacy {
    /// Only its owner: plaintext.
    Private,
    /// As the umask says: ciphertext.
    Shared,
    /// As the file that it replaces, which may belong to someone else.
    As {
        /// Permission bits.
        mode: u32,
        /// User.
        owner: u32,
        /// Group.
        group: u32,
    },
}

/// An output that is not there until [`Destination::commit`].
#[derive(Debug)]
pub(crate) enum Destination {
    /// stdout, a pipe or a device, with its name: written as it comes.
    Stream(File, PathBuf),
    /// A regular file.
    File(NewFile),
}

/// A regular file on its way.
#[derive(Debug)]
pub(crate) struct NewFile {
    target: PathBuf,
    file: File,
    /// Where the file system has no nameless files.
    name: Option<TempPath>,
}

impl Destination {
    /// For `-o OUTPUT`; nothing and `-` are stdout.
    ///
    /// # Errors
    /// Those of the file system, with the name.
    pub(crate) fn open(path: Option<&Path>, privacy: Privacy) -> Result<Self, Failure> {
        match path {
            None => stdout(),
            Some(path) if path == Path::new("-") => stdout(),
            Some(path) => Self::at(path, privacy).map_err(|error| Failure::file(path, error)),
        }
    }

    fn at(path: &Path, privacy: Privacy) -> io::Result<Self> {
        let target = match std::fs::metadata(path) {
            Ok(found) if found.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            // a pipe or a device is written to, never replaced
            Ok(found) if !found.is_file() => {
                let file = File::options().write(true).open(path)?;
                return Ok(Self::Stream(file, path.to_owned()));
            }
            // behind a link, so that the link stays one
            Ok(_) => path.canonicalize()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(error),
        };
        NewFile::create(target, privacy).map(Self::File)
    }

    /// Something to write to, from any thread; its errors bear the name.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn writer(&self) -> io::Result<Target> {
        let (file, name) = match self {
            Self::Stream(file, name) => (file, name),
            Self::File(new) => (&new.file, &new.target),
        };
        Ok(Target {
            file: file.try_clone()?,
            name: name.clone(),
        })
    }

    /// Whether someone would look at the bytes on a screen.
    pub(crate) fn is_terminal(&self) -> bool {
        matches!(self, Self::Stream(file, _) if file.is_terminal())
    }

    /// Makes it durable, then visible. Dropped without, a regular file never was.
    ///
    /// # Errors
    /// Those of the file system, with the name.
    pub(crate) fn commit(self) -> Result<(), Failure> {
        match self {
            Self::Stream(..) => Ok(()),
            Self::File(new) => {
                let target = new.target.clone();
                new.commit().map_err(|error| Failure::file(&target, error))
            }
        }
    }
}

/// The writing end of a destination.
#[derive(Debug)]
pub(crate) struct Target {
    file: File,
    name: PathBuf,
}

/// An output that cannot be written, told apart from an input that cannot be read.
#[derive(Debug)]
pub(crate) struct Unwritable {
    name: PathBuf,
    cause: io::Error,
}

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name.display(), self.cause)
    }
}

impl std::error::Error for Unwritable {}

impl Target {
    fn named<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|cause| match cause.kind() {
            io::ErrorKind::Interrupted => cause,
            kind => {
                let name = self.name.clone();
                io::Error::new(kind, Unwritable { name, cause })
            }
        })
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes);
        self.named(written)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = self.file.write_vectored(parts);
        self.named(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn stdout() -> Result<Destination, Failure> {
    let stdout = io::stdout().as_fd().try_clone_to_owned()?;
    Ok(Destination::Stream(stdout.into(), "stdout".into()))
}

impl NewFile {
    fn create(target: PathBuf, privacy: Privacy) -> io::Result<Self> {
        let mode = match privacy {
            Privacy::Private => 0o600,
            Privacy::Shared => 0o666,
            Privacy::As { mode, .. } => mode & 0o777,
        };
        let (file, name) = match nameless(directory_of(&target), mode) {
            Ok(file) => (file, None),
            Err(error) if !lacks_nameless(&error) => return Err(error),
            Err(_) => {
                let (file, name) = hidden(directory_of(&target), mode)?;
                (file, Some(name))
            }
        };
        if let Privacy::As { owner, group, .. } = privacy {
            // only root may give files away; for others it is theirs already, or becomes theirs
            let _ = std::os::unix::fs::fchown(&file, Some(owner), Some(group));
            file.set_permissions(Permissions::from_mode(mode))?;
        }
        Ok(Self { target, file, name })
    }

    fn commit(self) -> io::Result<()> {
        self.file.sync_all()?;
        let directory = directory_of(&self.target);
        let name = match self.name {
            Some(name) => name,
            None => give_name(&self.file, directory)?,
        };
        name.persist(&self.target).map_err(|error| error.error)?;
        File::open(directory)?.sync_all()
    }
}

fn builder() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".kms-").suffix(".part");
    builder
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A file without a name (`O_TMPFILE`): it goes with its last descriptor.
fn nameless(directory: &Path, mode: u32) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(directory, flags, Mode::from_raw_mode(mode))?;
    Ok(file.into())
}

/// A file with a name that nobody uses, removed on drop.
fn hidden(directory: &Path, mode: u32) -> io::Result<(File, TempPath)> {
    let named = builder()
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(directory)?;
    Ok(named.into_parts())
}

/// Whether the file system or the kernel has no nameless files, see open(2).
fn lacks_nameless(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL)
    )
}

/// A name for it, free of others; renaming over the target follows.
fn give_name(file: &File, directory: &Path) -> io::Result<TempPath> {
    let source = format!("/proc/self/fd/{}", file.as_raw_fd());
    let link = |path: &Path| -> io::Result<()> {
        rustix::fs::linkat(CWD, &source, CWD, path, AtFlags::SYMLINK_FOLLOW)?;
        Ok(())
    };
    Ok(builder().make_in(directory, link)?.into_temp_path())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    fn names(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_appears_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let open = || Destination::open(Some(&path), Privacy::Private).unwrap();

        let abandoned = open();
        abandoned.writer().unwrap().write_all(b"half").unwrap();
        assert_eq!(names(dir.path()), Vec::<String>::new());
        drop(abandoned);
        assert_eq!(names(dir.path()), Vec::<String>::new());

        for text in ["first", "second"] {
            let whole = open();
            whole.writer().unwrap().write_all(text.as_bytes()).unwrap();
            whole.commit().unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
            assert_eq!(names(dir.path()), ["out"]);
            assert_eq!(mode(&path), 0o600);
        }
    }

    #[test]
    fn links_stay_links_and_devices_devices() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("out"), dir.path().join("link"));
        std::fs::write(&path, "old").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let found = std::fs::metadata(&path).unwrap();
        let privacy = Privacy::As {
            mode: 0o100_640,
            owner: found.uid(),
            group: found.gid(),
        };
        let out = Destination::open(Some(&link), privacy).unwrap();
        out.writer().unwrap().write_all(b"new").unwrap();
        out.commit().unwrap();
        assert!(link.is_symlink());
        assert_eq!(
            (
                std::fs::read_to_string(&path).unwrap().as_str(),
                mode(&path)
            ),
            ("new", 0o640)
        );

        let null = Path::new("/dev/null");
        let out = Destination::open(Some(null), Privacy::Private).unwrap();
        assert!(matches!(out, Destination::Stream(..)));
        out.commit().unwrap();
        assert!(!std::fs::metadata(null).unwrap().is_file());
    }

    #[test]
    fn a_full_disk_is_the_outputs_fault() {
        let full = Destination::open(Some(Path::new("/dev/full")), Privacy::Shared).unwrap();
        let error = full.writer().unwrap().write_all(b"x").unwrap_err();
        assert!(error.get_ref().unwrap().is::<Unwritable>());
        let failure = Failure::envelope(Path::new("in"), &error.into());
        let text = failure.to_string();
        assert!(text.starts_with("/dev/full: No space left"), "{text}");
    }

    #[test]
    fn what_cannot_be_written_is_said_by_name() {
        for path in ["/", "/nonexistent/out"] {
            let error = Destination::open(Some(Path::new(path)), Privacy::Shared).unwrap_err();
            assert!(error.to_string().starts_with(path), "{error}");
        }
    }

    #[test]
    fn without_nameless_files_a_hidden_one_is_used_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (file, name) = hidden(dir.path(), 0o600).unwrap();
        let new = |name| NewFile {
            target: dir.path().join("out"),
            file: file.try_clone().unwrap(),
            name: Some(name),
        };
        new(name).commit().unwrap();
        assert_eq!(names(dir.path()), ["out"]);
        let (_, name) = hidden(dir.path(), 0o600).unwrap();
        drop(new(name));
        assert_eq!(names(dir.path()), ["out"]);
    }
}
