//! The binaries under test, built once a process by cargo itself, so that a test never runs yesterday's daemon.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

static FOLDER: OnceLock<PathBuf> = OnceLock::new();

/// The daemon.
#[must_use]
pub fn server() -> PathBuf {
    folder().join("kms-server")
}

/// The command line.
#[must_use]
pub fn kms() -> PathBuf {
    folder().join("kms")
}

/// The checkout.
#[must_use]
pub fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies in the checkout")
}

/// A finished example or bench of the workspace, built as the rest.
#[must_use]
pub fn example(package: &str, name: &str) -> PathBuf {
    build(&["--package", package, "--example", name]);
    folder().join("examples").join(name)
}

/// Folder of the finished binaries. The first call builds them, unless `KMS_TESTS_BINARIES` names a folder.
fn folder() -> &'static Path {
    FOLDER.get_or_init(|| {
        if let Some(folder) = std::env::var_os("KMS_TESTS_BINARIES") {
            return folder.into();
        }
        build(&["--workspace", "--bins"]);
        target().join("release")
    })
}

/// The target folder that this very test was built in.
fn target() -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    test.ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").exists())
        .map_or_else(|| checkout().join("target"), Path::to_path_buf)
}

fn build(what: &[&str]) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(checkout())
        .args(["build", "--release", "--locked", "--quiet"])
        .args(what)
        .arg("--target-dir")
        .arg(target())
        .stdin(Stdio::null())
        .status()
        .expect("cargo can be run");
    assert!(status.success(), "cargo build {what:?} failed");
}
