//! Ids that make a change repeatable: the service answers a repeat with the first outcome for 24 h.

use crate::error::{Error, ErrorKind};
use ring::rand::{SecureRandom as _, SystemRandom};

/// Bytes of a request id.
pub const REQUEST_ID_LEN: usize = 16;

/// A new request id, for one change and all its repeats.
///
/// # Errors
/// [`ErrorKind::Internal`] when the system has no random bytes.
pub fn make_request_id() -> Result<[u8; REQUEST_ID_LEN], Error> {
    let mut id = [0; REQUEST_ID_LEN];
    let filled = SystemRandom::new().fill(&mut id);
    filled.map_err(|_| Error::new(ErrorKind::Internal, "the system has no random bytes"))?;
    Ok(id)
}
