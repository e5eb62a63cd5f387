//! Stored and answered bytes, exactly as docs/formats.md says. Never guesses a format: each begins with its number.

pub mod place;
pub mod root;
pub mod stored;
pub mod wrapped;
