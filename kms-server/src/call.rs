//! The one road of every call.

mod bounds;
mod page;
mod parse;
mod render;
pub mod road;
