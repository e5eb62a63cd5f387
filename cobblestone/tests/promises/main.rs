//! What the crate promises, through its public interface only.
//!
//! `cfg(test)` is always true here; it tells clippy that helpers may unwrap as tests may.

#[cfg(test)]
mod agreement;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod own_vectors;
#[cfg(test)]
mod parallel;
#[cfg(test)]
mod random_access;
#[cfg(test)]
mod rough;
#[cfg(test)]
mod vectors;

/// A text without repetition at chunk distance.
#[cfg(test)]
fn text(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect()
}
