//! An approver at this side: what is signed is what was shown here, byte for byte; the key never leaves this side.
//! Never signs bytes or a hash that came from the service.

pub(crate) mod key_file;
pub(crate) mod request;
pub(crate) mod ssh_signature;
pub(crate) mod statement;
