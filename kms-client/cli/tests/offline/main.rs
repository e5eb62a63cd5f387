//! The real `kms`, without a service: what it says, what it leaves behind, how it exits.
//!
//! `cfg(test)` is always true here; it tells clippy that helpers may unwrap as tests may.

#[cfg(test)]
mod files;
#[cfg(test)]
mod kit;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod usage;
