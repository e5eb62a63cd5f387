//! Test kit: builds the real binaries once, starts real daemons in temporary folders, speaks to them in typed or raw
//! gRPC, and reads what the kernel knows of them. Holds no test itself and mocks nothing.
//!
//! Functions here end the test with a message instead of returning errors: their callers are tests.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "what fails in the kit fails the test"
)]

pub mod binaries;
pub mod caller;
pub mod certificate;
pub mod console;
pub mod credentials;
pub mod daemon;
pub mod gauge;
pub mod in_process;
pub mod operator;
pub mod production;
pub mod rpc;
pub mod wire;
