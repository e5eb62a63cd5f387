//! The house rules of ARCHITECTURE.md, checked on the source text: floors, sizes, names, one place for each thing,
//! and documents that say what the code says. Reads files only; each check reports every breach it finds at once.
//!
//! The lists beside this file are data: `places.txt`, `expose.txt`, `words.txt`, `names.txt`.
//! `cfg(test)` is always true here; it tells clippy that helpers may unwrap as tests may.

#[cfg(test)]
mod documents;
#[cfg(test)]
mod floors;
#[cfg(test)]
mod listing;
#[cfg(test)]
mod manifests;
#[cfg(test)]
mod places;
#[cfg(test)]
mod shape;
#[cfg(test)]
mod source;

/// Fails with every breach, one a line.
#[cfg(test)]
#[track_caller]
fn none(rule: &str, breaches: &[String]) {
    assert!(
        breaches.is_empty(),
        "{rule}: {} breaches\n  {}",
        breaches.len(),
        breaches.join("\n  ")
    );
}
