//! What is under way right now, counted and bounded. A permit counts until it is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A bounded count.
#[derive(Debug, Clone)]
pub(super) struct Gauge {
    count: Arc<AtomicUsize>,
    most: usize,
}

/// A part of a [`Gauge`], given back when dropped.
#[derive(Debug)]
pub(super) struct Permit {
    count: Arc<AtomicUsize>,
    amount: usize,
}

impl Gauge {
    pub(super) fn new(most: usize) -> Self {
        Self {
            count: Arc::new(AtomicUsize::new(0)),
            most,
        }
    }

    /// `None` when that much is not left.
    pub(super) fn take(&self, amount: usize) -> Option<Permit> {
        // made first: it gives the amount back when it was too much
        let permit = Permit {
            count: Arc::clone(&self.count),
            amount,
        };
        let before = self.count.fetch_add(amount, Ordering::Relaxed);
        (before.saturating_add(amount) <= self.most).then_some(permit)
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.count.fetch_sub(self.amount, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_permit_leaves_nothing_behind() {
        let gauge = Gauge::new(10);
        let first = gauge.take(8).unwrap();
        assert!(gauge.take(3).is_none());
        let second = gauge.take(2).unwrap();
        assert_eq!(gauge.count(), 10);
        drop((first, second));
        assert_eq!(gauge.count(), 0);
    }
}
