//! The client against a peer over a real socket: TLS as rustls speaks it, gRPC as HTTP/2 carries it, and
//! failures as scripted.
//!
//! `cfg(test)` is always true here; it tells clippy that helpers may unwrap as tests may.

#[cfg(test)]
mod peer;
#[cfg(test)]
mod retries;
#[cfg(test)]
mod trust;
