//! What an operator must hear of: raised and cleared by name, told by the status. Never a reason to refuse.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Name of the alarm that irreversible timers wait.
pub const CLOCK: &str = "clock";

/// Alarms by name, each with a text for people.
#[derive(Debug, Default)]
pub struct Alarms(Mutex<BTreeMap<String, String>>);

impl Alarms {
    /// Raises one; `true` when it was not raised before.
    pub fn raise(&self, name: &str, text: &str) -> bool {
        self.lock()
            .insert(name.to_owned(), text.to_owned())
            .is_none()
    }

    /// Clears one.
    pub fn clear(&self, name: &str) {
        self.lock().remove(name);
    }

    /// The text of one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        self.lock().get(name).cloned()
    }

    /// All texts.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
