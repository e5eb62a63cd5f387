//! Life cycles as total functions: every pair of state and event is decided here, none by a catch-all.
//!
//! Never looks at deletion protection, the time mark or who asks: the engine does, before it asks here.

use super::record::{ShredState, VersionState};
use crate::reason::Reason;
use crate::time::Timestamp;
use std::time::Duration;

/// What can happen to a dataset key version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It becomes the one that wraps.
    Activate,
    /// A newer one becomes ACTIVE.
    Supersede,
    /// An operator refuses its use.
    Disable,
    /// An operator allows reading again.
    Enable,
    /// Its destruction is scheduled for `waiting` after now.
    ScheduleDestruction {
        /// Waiting time; the engine holds it to 7 to 90 days.
        waiting: Duration,
    },
    /// Its scheduled destruction is cancelled.
    Restore,
    /// The waiting time may be over.
    FallDue,
}

/// What can happen to a shred secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShredEvent {
    /// An operator refuses its use.
    Block,
    /// An operator allows its use again.
    Unblock,
    /// It is destroyed, without a waiting time.
    Destroy,
}

/// The state that follows. An event whose result stands already changes nothing and is no error, so that
/// a call may be repeated; only a scheduled date is never moved by asking again.
///
/// # Errors
/// [`Reason::VersionState`], or [`Reason::VersionDestroyed`] from DESTROYED.
pub fn next(state: VersionState, event: Event, now: Timestamp) -> Result<VersionState, Reason> {
    use Event as E;
    use VersionState as S;
    match (state, event) {
        (S::PreActive | S::Active, E::Activate) => Ok(S::Active),
        (S::Active | S::DecryptOnly, E::Supersede) | (S::DecryptOnly | S::Disabled, E::Enable) => {
            Ok(S::DecryptOnly)
        }
        (S::PreActive | S::DecryptOnly | S::Disabled, E::Disable)
        | (S::Disabled | S::DestroyScheduled { .. }, E::Restore) => Ok(S::Disabled),
        (S::PreActive | S::DecryptOnly | S::Disabled, E::ScheduleDestruction { waiting }) => {
            Ok(S::DestroyScheduled {
                at: now.saturating_add(waiting),
            })
        }
        (S::DestroyScheduled { at }, E::FallDue) if now >= at => Ok(S::Destroyed { at: now }),
        // what wraps new data is never taken away, only superseded: rotate first
        (S::Active, E::Disable | E::Enable | E::ScheduleDestruction { .. })
        | (S::Active, E::Restore | E::FallDue)
        | (S::PreActive, E::Supersede | E::Enable | E::Restore | E::FallDue)
        | (S::DecryptOnly, E::Activate | E::Restore | E::FallDue)
        | (S::Disabled, E::Activate | E::Supersede | E::FallDue)
        | (S::DestroyScheduled { .. }, E::Activate | E::Supersede | E::Disable)
        | (S::DestroyScheduled { .. }, E::Enable | E::ScheduleDestruction { .. })
        | (S::DestroyScheduled { .. }, E::FallDue) => Err(Reason::VersionState),
        (
            S::Destroyed { .. },
            E::Activate
            | E::Supersede
            | E::Disable
            | E::Enable
            | E::ScheduleDestruction { .. }
            | E::Restore
            | E::FallDue,
        ) => Err(Reason::VersionDestroyed),
    }
}

/// May a version in this state open what it wrapped?
///
/// # Errors
/// [`Reason::VersionDisabled`] or [`Reason::VersionDestroyed`]; [`Reason::Undecryptable`] for PRE_ACTIVE,
/// which never wrapped anything.
pub const fn readable(state: VersionState) -> Result<(), Reason> {
    match state {
        VersionState::Active | VersionState::DecryptOnly => Ok(()),
        VersionState::PreActive => Err(Reason::Undecryptable),
        VersionState::Disabled | VersionState::DestroyScheduled { .. } => {
            Err(Reason::VersionDisabled)
        }
        VersionState::Destroyed { .. } => Err(Reason::VersionDestroyed),
    }
}

/// The state of a shred secret that follows. What stands already changes nothing and is no error.
///
/// # Errors
/// [`Reason::SubjectErased`]: a destroyed one is neither blocked nor unblocked.
pub const fn next_shred(
    state: ShredState,
    event: ShredEvent,
    now: Timestamp,
) -> Result<ShredState, Reason> {
    use ShredEvent as E;
    use ShredState as S;
    match (state, event) {
        (S::Active, E::Block) => Ok(S::Blocked { at: now }),
        (S::Blocked { at }, E::Block) => Ok(S::Blocked { at }),
        (S::Active | S::Blocked { .. }, E::Unblock) => Ok(S::Active),
        (S::Active | S::Blocked { .. }, E::Destroy) => Ok(S::Destroyed { at: now }),
        (S::Destroyed { at }, E::Destroy) => Ok(S::Destroyed { at }),
        (S::Destroyed { .. }, E::Block | E::Unblock) => Err(Reason::SubjectErased),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Debug;
    use std::fmt::Write;

    const NOW: Timestamp = Timestamp::from_micros(1_000);
    const LATER: Timestamp = Timestamp::from_micros(2_000);

    fn table<S: Debug + Copy, E: Debug + Copy>(
        states: &[S],
        events: &[E],
        next: impl Fn(S, E) -> Result<S, Reason>,
    ) -> String {
        let mut out = String::new();
        for state in states {
            for event in events {
                let result = match next(*state, *event) {
                    Ok(next) => format!("{next:?}"),
                    Err(reason) => reason.as_str().to_owned(),
                };
                writeln!(out, "{state:?} + {event:?} -> {result}").unwrap();
            }
        }
        out.replace("Timestamp(1000)", "now")
            .replace("Timestamp(2000)", "later")
            .replace("Timestamp(500)", "earlier")
            .replace("Timestamp(604800001000)", "now + 7 days")
    }

    /// Compares with the file, which is the documentation; `KMS_BLESS=1` writes it anew.
    fn pinned(name: &str, text: &str) {
        let path = format!("{}/src/key/expected/{name}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("KMS_BLESS").is_some() {
            std::fs::write(&path, text).unwrap();
        }
        println!("{text}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "{path}");
    }

    #[test]
    fn the_table_of_versions_is_as_pinned() {
        let earlier = Timestamp::from_micros(500);
        let states = [
            VersionState::PreActive,
            VersionState::Active,
            VersionState::DecryptOnly,
            VersionState::Disabled,
            VersionState::DestroyScheduled { at: LATER },
            VersionState::DestroyScheduled { at: NOW },
            VersionState::Destroyed { at: earlier },
        ];
        let waiting = Duration::from_hours(7 * 24);
        let events = [
            Event::Activate,
            Event::Supersede,
            Event::Disable,
            Event::Enable,
            Event::ScheduleDestruction { waiting },
            Event::Restore,
            Event::FallDue,
        ];
        pinned(
            "versions.txt",
            &table(&states, &events, |state, event| next(state, event, NOW)),
        );
    }

    #[test]
    fn the_table_of_shred_secrets_is_as_pinned() {
        let earlier = Timestamp::from_micros(500);
        let states = [
            ShredState::Active,
            ShredState::Blocked { at: earlier },
            ShredState::Destroyed { at: earlier },
        ];
        let events = [ShredEvent::Block, ShredEvent::Unblock, ShredEvent::Destroy];
        pinned(
            "shred_secrets.txt",
            &table(&states, &events, |state, event| {
                next_shred(state, event, NOW)
            }),
        );
    }

    #[test]
    fn only_active_and_decrypt_only_are_readable() {
        assert!(readable(VersionState::Active).is_ok());
        assert!(readable(VersionState::DecryptOnly).is_ok());
        assert_eq!(
            readable(VersionState::Disabled),
            Err(Reason::VersionDisabled)
        );
        assert_eq!(
            readable(VersionState::DestroyScheduled { at: NOW }),
            Err(Reason::VersionDisabled)
        );
        assert_eq!(
            readable(VersionState::Destroyed { at: NOW }),
            Err(Reason::VersionDestroyed)
        );
        assert_eq!(
            readable(VersionState::PreActive),
            Err(Reason::Undecryptable)
        );
    }
}
