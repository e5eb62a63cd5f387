//! What the cache did, for metrics and tests.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// Counts since the cache was made.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct CacheCounts {$(
            $(#[$doc])*
            pub $name: u64,
        )+}

        #[derive(Debug, Default)]
        pub(super) struct Counters {$(pub(super) $name: AtomicU64,)+}

        impl Counters {
            pub(super) fn read(&self) -> CacheCounts {
                CacheCounts {$($name: self.$name.load(Ordering::Relaxed),)+}
            }
        }
    };
}

counts! {
    /// Answered from memory.
    hits,
    /// Asked of the service.
    misses,
    /// Waited for somebody else who was asking.
    waits,
    /// Questions that failed; none of them was remembered.
    failures,
    /// Entries dropped for room.
    evictions,
    /// Reports of uses that the service did not take; they wait for the next.
    unreported,
}

pub(super) fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
}
