//! The machine around the daemon: clock, locks, permissions, memory, disk. Never knows what a key is.

pub mod background;
pub mod clock;
pub mod directory;
pub mod disk;
pub mod failure;
pub mod listen;
pub mod lock;
pub mod memory;
pub mod notice;
pub mod outgoing;
pub mod private_file;
pub mod synchronised;
pub mod tls_time;
