//! What an operator must hear of: raised and cleared by name, told by the status. Never a reason to refuse.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Name of the alarm that irreversible timers wait.
pub const CLOCK: &str = "clock";

/// Most alarms at one time.
pub const ALARMS_MAX: usize = 100;

/// Alarms by name, each with a text for people.
#[derive(Debug, Default)]
pub struct Alarms(Mutex<BTreeMap<String, String>>);

impl Alarms {
    /// Raises one; `true` when it was not raised before. More than [`ALARMS_MAX`] are not kept: whoever
    /// sees so many looks into the log.
    pub fn raise(&self, name: &str, text: &str) -> bool {
        let mut alarms = self.lock();
        let known = alarms.contains_key(name);
        if !known && alarms.len() >= ALARMS_MAX {
            return false;
        }
        alarms.insert(name.to_owned(), text.to_owned());
        !known
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_new_once_and_their_number_is_bounded() {
        let alarms = Alarms::default();
        assert!(alarms.raise("a", "first"));
        assert!(!alarms.raise("a", "second"));
        assert_eq!(alarms.texts(), ["second"]);
        for number in 0..2 * ALARMS_MAX {
            alarms.raise(&number.to_string(), "many");
        }
        assert_eq!(alarms.texts().len(), ALARMS_MAX);
        alarms.clear("a");
        assert!(alarms.raise("b", "room again"));
    }
}
