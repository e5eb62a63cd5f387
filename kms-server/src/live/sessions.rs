//! Open sessions of operators: in memory only, known by the hash of their token, each bound to one client
//! certificate. They end by themselves, when their operator changes, and with the daemon's sealing or end.

use kms_core::cipher::sha256;
use kms_core::name::OperatorName;
use kms_core::secret::SessionToken;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A session that nobody uses ends after this long.
pub const IDLE: Duration = Duration::from_mins(15);
/// Every session ends after this long.
pub const LIFE: Duration = Duration::from_hours(8);
/// Most sessions of one operator; the one idle longest makes room.
const PER_OPERATOR: usize = 16;

/// SHA-256 of a token. A token is 256 random bits, so its hash needs no key and no salt.
pub type TokenHash = [u8; 32];

/// All of them.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<HashMap<TokenHash, Session>>);

/// One session. Times are the daemon's monotonic ones: no step of a wall clock makes it longer.
#[derive(Debug, Clone)]
pub struct Session {
    /// Whose.
    pub operator: OperatorName,
    /// The operator's generation when it was opened.
    pub generation: u32,
    /// SHA-256 of the client certificate that it was opened with.
    pub certificate: [u8; 32],
    /// When it was opened.
    pub opened: Duration,
    /// When it was used last.
    pub used: Duration,
    /// When a code was taken last.
    pub code_at: Duration,
}

impl Session {
    /// Who speaks with it, and of which generation: what was decided for another is not decided for it.
    #[must_use]
    pub fn speaks(&self) -> (OperatorName, u32) {
        (self.operator.clone(), self.generation)
    }

    fn is_over(&self, now: Duration) -> bool {
        now.saturating_sub(self.used) >= IDLE || now.saturating_sub(self.opened) >= LIFE
    }
}

/// The hash under which a token is known.
#[must_use]
pub fn token_hash(token: &SessionToken) -> TokenHash {
    sha256(&[token.expose_bytes()])
}

impl Sessions {
    /// Opens one.
    pub fn open(&self, token: TokenHash, session: Session) {
        let mut all = self.lock();
        let now = session.opened;
        all.retain(|_, other| !other.is_over(now));
        let own = all
            .iter()
            .filter(|(_, other)| other.operator == session.operator);
        let mut own: Vec<_> = own.map(|(hash, other)| (other.used, *hash)).collect();
        own.sort_unstable();
        let over = (own.len() + 1).saturating_sub(PER_OPERATOR);
        for (_, hash) in own.iter().take(over) {
            all.remove(hash);
        }
        all.insert(token, session);
    }

    /// The session of a token that comes with this certificate, used now.
    #[must_use]
    pub fn using(
        &self,
        token: &TokenHash,
        certificate: &[u8; 32],
        now: Duration,
    ) -> Option<Session> {
        let mut all = self.lock();
        let session = all.get_mut(token)?;
        if session.is_over(now) {
            all.remove(token);
            return None;
        }
        if session.certificate != *certificate {
            return None;
        }
        session.used = now;
        Some(session.clone())
    }

    /// A new code was taken.
    pub fn took_code(&self, token: &TokenHash, now: Duration) {
        if let Some(session) = self.lock().get_mut(token) {
            session.code_at = now;
        }
    }

    /// Ends one.
    pub fn close(&self, token: &TokenHash) {
        self.lock().remove(token);
    }

    /// How many are open, over ones that nobody asked for included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// None at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TokenHash, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn session(at: Duration) -> Session {
        Session {
            operator: OperatorName::parse("alice").unwrap(),
            generation: 0,
            certificate: [1; 32],
            opened: at,
            used: at,
            code_at: at,
        }
    }

    #[test]
    fn a_session_ends_idle_or_old_and_knows_its_certificate() {
        let sessions = Sessions::default();
        sessions.open([7; 32], session(Duration::ZERO));
        assert!(sessions.using(&[7; 32], &[2; 32], MINUTE).is_none());
        assert!(sessions.using(&[8; 32], &[1; 32], MINUTE).is_none());
        let mut now = Duration::ZERO;
        while now + 14 * MINUTE < LIFE {
            now += 14 * MINUTE;
            assert!(sessions.using(&[7; 32], &[1; 32], now).is_some(), "{now:?}");
        }
        assert!(sessions.using(&[7; 32], &[1; 32], LIFE).is_none());
        sessions.open([7; 32], session(Duration::ZERO));
        assert!(sessions.using(&[7; 32], &[1; 32], IDLE).is_none());
        assert!(sessions.is_empty());
    }

    #[test]
    fn the_longest_idle_session_makes_room() {
        let sessions = Sessions::default();
        for number in 0..20 {
            sessions.open(
                [number; 32],
                session(Duration::from_secs(u64::from(number))),
            );
        }
        assert_eq!(sessions.len(), PER_OPERATOR);
        let now = Duration::from_secs(30);
        assert!(sessions.using(&[3; 32], &[1; 32], now).is_none());
        assert!(sessions.using(&[4; 32], &[1; 32], now).is_some());
    }
}
