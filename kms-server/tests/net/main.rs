//! The network side over real sockets with real certificates: what it lets through, what it refuses,
//! and what it records of that. The road behind it is an echo that remembers what it was given.
//!
//! `cfg(test)` is always true here; it tells clippy that helpers may unwrap as tests may.

#[cfg(test)]
mod certificates;
#[cfg(test)]
mod client;
#[cfg(test)]
mod echo;
#[cfg(test)]
mod floods;
#[cfg(test)]
mod health;
#[cfg(test)]
mod lives;
#[cfg(test)]
mod pki;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod web;
