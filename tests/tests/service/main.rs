//! Black-box tests: real daemons, real sockets, the documented interface only. One binary, so that the kit's
//! binaries are built once.
//!
//! `cfg(test)` is always true here; it tells clippy that helpers may unwrap as tests may. Sizes are scaled for a
//! check of minutes; `KMS_TESTS_FULL=1` runs them as large as the promises are written.

#[cfg(test)]
mod access;
#[cfg(test)]
mod anchors;
#[cfg(test)]
mod anonymise;
#[cfg(test)]
mod approvals;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod audit_tree;
#[cfg(test)]
mod auditor;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod dry_run;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod files;
#[cfg(test)]
mod life_cycle;
#[cfg(test)]
mod model;
#[cfg(test)]
mod operators;
#[cfg(test)]
mod policies;
#[cfg(test)]
mod production;
#[cfg(test)]
mod rewrap_crash;
#[cfg(test)]
mod rotation;
#[cfg(test)]
mod sealing;
#[cfg(test)]
mod services;
#[cfg(test)]
mod shred;
#[cfg(test)]
mod startup;
#[cfg(test)]
mod tampering;
#[cfg(test)]
mod third_party;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod tour;
#[cfg(test)]
mod trust;
#[cfg(test)]
mod witness;

/// `full` when `KMS_TESTS_FULL` is set, else `scaled`.
#[cfg(test)]
fn scale(scaled: usize, full: usize) -> usize {
    if std::env::var_os("KMS_TESTS_FULL").is_some() {
        full
    } else {
        scaled
    }
}

/// Whether a tool that a test needs is there; with `KMS_TESTS_REQUIRE` (set by `.ci/run`) its lack is a failure.
#[cfg(test)]
fn has_tool(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(name).exists());
    assert!(
        found || std::env::var_os("KMS_TESTS_REQUIRE").is_none(),
        "{name} is missing"
    );
    found
}
