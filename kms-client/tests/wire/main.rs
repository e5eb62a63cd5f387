//! The client against a peer over a real socket: TLS as rustls speaks it, gRPC as HTTP/2 carries it, and
//! failures as scripted.

mod peer;
mod retries;
mod trust;
