//! Tokens that were verified, by their hash, so that a signature is checked once and not with every call. Bounded;
//! what lies here is asked again whether it holds now and whether its key still stands.

use super::claims::Terms;
use kms_core::policy::Principal;
use kms_core::time::Timestamp;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Boards with a lock each, so that threads rarely meet.
const BOARDS: usize = 16;
/// Tokens on one board.
const BOARD_MAX: usize = 512;

/// A token whose signature and claims were good.
#[derive(Debug)]
pub(in crate::identity) struct Verified {
    /// Place of its issuer.
    pub(super) issuer: usize,
    /// Of the issuer's keys.
    pub(super) generation: u64,
    pub(super) terms: Terms,
    /// Whom it names.
    pub(in crate::identity) principal: Principal,
}

impl Verified {
    /// SHA-256 of the certificate that it is bound to.
    pub(in crate::identity) const fn certificate(&self) -> Option<&[u8; 32]> {
        self.terms.certificate.as_ref()
    }
}

type Board = HashMap<[u8; 32], Arc<Verified>>;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    boards: [Mutex<Board>; BOARDS],
}

impl Shelf {
    pub(super) fn get(&self, hash: &[u8; 32]) -> Option<Arc<Verified>> {
        let board = self.board(hash)?;
        let board = board.lock().unwrap_or_else(PoisonError::into_inner);
        board.get(hash).cloned()
    }

    /// When a board is full, what is over goes; when all of it is good, all of it goes: verifying again is
    /// cheaper than remembering an order.
    pub(super) fn put(&self, hash: [u8; 32], verified: Arc<Verified>, now: Timestamp) {
        let Some(board) = self.board(&hash) else {
            return;
        };
        let mut board = board.lock().unwrap_or_else(PoisonError::into_inner);
        if board.len() >= BOARD_MAX {
            board.retain(|_, verified| verified.terms.hold_at(now));
        }
        if board.len() >= BOARD_MAX {
            board.clear();
        }
        board.insert(hash, verified);
    }

    fn board(&self, hash: &[u8; 32]) -> Option<&Mutex<Board>> {
        let [first, ..] = hash;
        self.boards.get(usize::from(*first) % BOARDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kms_core::policy::Principal;

    fn verified(expires: i64) -> Arc<Verified> {
        Arc::new(Verified {
            issuer: 0,
            generation: 1,
            terms: Terms {
                not_before: Timestamp::from_micros(0),
                expires: Timestamp::from_micros(expires),
                certificate: None,
            },
            principal: Principal::internal(),
        })
    }

    fn hash(number: usize) -> [u8; 32] {
        let mut hash = [0; 32];
        hash[1..9].copy_from_slice(&number.to_be_bytes());
        hash
    }

    #[test]
    fn a_full_board_lets_go_of_what_is_over_first() {
        let shelf = Shelf::default();
        let now = Timestamp::from_micros(10);
        shelf.put(hash(0), verified(20), now);
        (1..BOARD_MAX).for_each(|number| shelf.put(hash(number), verified(5), now));
        shelf.put(hash(BOARD_MAX), verified(20), now);
        assert!(shelf.get(&hash(0)).is_some() && shelf.get(&hash(1)).is_none());
        (0..10 * BOARD_MAX).for_each(|number| shelf.put(hash(number), verified(20), now));
        let kept = (0..10 * BOARD_MAX).filter(|number| shelf.get(&hash(*number)).is_some());
        assert!(kept.count() <= BOARD_MAX);
    }
}
