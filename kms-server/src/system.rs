//! The machine around the daemon: clock, locks, permissions, memory, disk. Never knows what a key is.

pub mod clock;
