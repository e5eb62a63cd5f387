//! The network side over real sockets with real certificates: what it lets through, what it refuses,
//! and what it records of that. The road behind it is an echo that remembers what it was given.

mod certificates;
mod client;
mod echo;
mod pki;
