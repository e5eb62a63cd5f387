//! The one road of every call.

mod bounds;
pub mod code;
mod control;
mod data_plane;
mod operation;
mod page;
mod parse;
mod render;
pub mod road;
mod shred;
