//! The one road of every call.

mod bounds;
mod page;
mod parse;
pub mod road;
