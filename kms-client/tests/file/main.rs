//! What the file envelope promises, through its public interface only.
//!
//! `cfg(test)` is always true here; it tells clippy that helpers may unwrap as tests may.

#[cfg(test)]
mod envelope;
