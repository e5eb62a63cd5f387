//! Random bytes of the operating system: file ids, and the ids that make a change repeatable. Never a
//! key: those are the service's to make.

use crate::error::{Error, ErrorKind};
use ring::rand::{SecureRandom as _, SystemRandom};

/// Bytes of a request id.
pub const REQUEST_ID_LEN: usize = 16;

/// The system gave none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RandomUnavailable;

/// Fresh ones.
///
/// # Errors
/// [`RandomUnavailable`].
pub(crate) fn make_bytes<const N: usize>() -> Result<[u8; N], RandomUnavailable> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| RandomUnavailable)?;
    Ok(bytes)
}

/// A new request id, for one change and all its repeats: the service answers a repeat with the first
/// outcome for 24 h.
///
/// # Errors
/// [`ErrorKind::Internal`] when the system has no random bytes.
pub fn make_request_id() -> Result<[u8; REQUEST_ID_LEN], Error> {
    make_bytes().map_err(|_| Error::new(ErrorKind::Internal, "the system has no random bytes"))
}
