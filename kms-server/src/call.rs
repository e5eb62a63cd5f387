//! The one road of every call.

mod bounds;
pub mod code;
mod page;
mod parse;
mod render;
pub mod road;
