//! A cache of data keys before a [`KeySource`]: fewer calls, at the price that this process notices
//! rotations, disabled versions and erased subjects only when an entry has aged. Nothing is cached
//! unless a program asks for it by wrapping its client in [`Cached`].
//!
//! Entries are bounded by age, messages and bytes, kept apart by dataset, key context and shred list,
//! and wiped when they go. Never remembers a failure, never answers after the limits, never falls back
//! to an old key when the service does not answer.
//!
//! Rows have a data key each ([`crate::row`]); for them only opening is remembered. A data key shared by
//! many fields is for data that is never erased one by one.

mod counts;
mod flight;
mod limits;
mod lru;
mod shelf;
mod uses;

#[cfg(test)]
mod tests;

pub use counts::CacheCounts;
pub use limits::{CacheClock, CacheLimits, Monotonic};

use crate::data_key::{DataKeyRequest, GeneratedDataKey, UnwrapRequest, UnwrappedDataKey};
use crate::error::Error;
use crate::name::{KeyContext, push_counted};
use crate::source::{KeySource, only};
use crate::wrapped::WrappedDataKey;
use counts::{Counters, add};
use flight::{Boarded, Follow, Lead};
use ring::digest::{SHA256, digest};
use shelf::Shelf;
use std::fmt;
use std::sync::Arc;
use uses::{Reporting, Uses};

/// SHA-256 of a wrapped data key and its key context.
type UnwrapHash = [u8; 32];

/// A key source that remembers for a while.
///
/// ```no_run
/// # async fn example(client: kms_client::Client) -> Result<(), kms_client::Error> {
/// use kms_client::cache::{CacheLimits, Cached};
///
/// let keys = Cached::new(client, CacheLimits::default())?;
/// // use `&keys` where a `&client` would do
/// # Ok(())
/// # }
/// ```
pub struct Cached<S, C = Monotonic> {
    source: S,
    clock: C,
    limits: CacheLimits,
    shared: Shelf<DataKeyRequest, GeneratedDataKey>,
    opened: Shelf<UnwrapHash, UnwrappedDataKey>,
    counters: Counters,
    uses: Uses,
}

impl<S: KeySource> Cached<S> {
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for limits out of range.
    pub fn new(source: S, limits: CacheLimits) -> Result<Self, Error> {
        Self::with_clock(source, limits, Monotonic::default())
    }
}

impl<S: KeySource, C: CacheClock> Cached<S, C> {
    /// As [`Cached::new`], by another clock.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for limits out of range.
    pub fn with_clock(source: S, limits: CacheLimits, clock: C) -> Result<Self, Error> {
        limits.check()?;
        Ok(Self {
            source,
            clock,
            limits,
            shared: Shelf::new(limits),
            opened: Shelf::new(limits),
            counters: Counters::default(),
            uses: Uses::default(),
        })
    }

    /// Forgets everything, answers under way included: after an emergency rotation or an erasure.
    pub fn clear(&self) {
        self.shared.clear();
        self.opened.clear();
    }

    /// Wipes what has aged. Done by the way while the cache is used; a process that may fall idle
    /// calls it from time to time.
    pub fn sweep(&self) {
        let now = self.clock.now();
        self.shared.sweep(now);
        self.opened.sweep(now);
    }

    /// Tells the service of the uses that it does not know of yet, if it is to be told. Done by the way, while the
    /// cache asks for keys anyway; a process that ends, or may fall idle, calls it itself.
    ///
    /// # Errors
    /// The service's; what was not taken is told later.
    pub async fn report(&self) -> Result<(), Error> {
        while let Some(reporting) = self.uses.take(self.clock.now()) {
            self.tell(reporting).await?;
        }
        Ok(())
    }

    async fn report_if_due(&self) {
        if let Some(reporting) = self.uses.due(self.clock.now())
            && self.tell(reporting).await.is_err()
        {
            add(&self.counters.unreported, 1);
        }
    }

    async fn tell(&self, reporting: Reporting<'_>) -> Result<(), Error> {
        let (uses, uncounted) = reporting.uses();
        self.source.report_uses(&uses, uncounted).await?;
        reporting.taken();
        Ok(())
    }

    /// A key was given out that the service was not asked for.
    fn note(&self, wrapped: &WrappedDataKey, context: &KeyContext) {
        if self.limits.report {
            let hash = wrap_hash(wrapped, context);
            self.uses.note(hash, (wrapped, context), self.clock.now());
        }
    }

    /// What it did so far.
    #[must_use]
    pub fn counts(&self) -> CacheCounts {
        self.counters.read()
    }

    /// Entries held: for encryption and for opening.
    #[must_use]
    pub fn len(&self) -> (usize, usize) {
        (self.shared.len(), self.opened.len())
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == (0, 0)
    }

    /// A remembered key for encryption is used.
    fn hit(&self, request: &DataKeyRequest, key: Arc<GeneratedDataKey>) -> Arc<GeneratedDataKey> {
        add(&self.counters.hits, 1);
        self.note(&key.wrapped, request.key_context());
        key
    }

    /// Asks for a new shared key and tells who waits.
    async fn fetch(
        &self,
        lead: Lead<'_, DataKeyRequest, Arc<GeneratedDataKey>>,
        bytes: u64,
    ) -> Result<Arc<GeneratedDataKey>, Error> {
        add(&self.counters.misses, 1);
        let epoch = self.shared.epoch();
        // from before the call: the answer may be late, its life begins when it was asked for
        let now = self.clock.now();
        let asked = std::slice::from_ref(lead.key());
        let (answers, ()) = tokio::join!(self.source.generate(asked), self.report_if_due());
        let outcome = only(answers).map(Arc::new);
        match &outcome {
            Ok(key) => {
                let (request, key) = (lead.key().clone(), Arc::clone(key));
                let evicted = self.shared.put(request, key, now, bytes, epoch);
                add(&self.counters.evictions, usize::from(evicted));
            }
            Err(_) => add(&self.counters.failures, 1),
        }
        lead.land(outcome.clone());
        outcome
    }

    /// Asks for what nobody asks for yet and answers it in place.
    async fn fetch_opened(
        &self,
        requests: &[UnwrapRequest],
        leads: Vec<(usize, Lead<'_, UnwrapHash, Arc<UnwrappedDataKey>>)>,
        answers: &mut [Option<Result<Arc<UnwrappedDataKey>, Error>>],
    ) {
        add(&self.counters.misses, leads.len());
        let epoch = self.opened.epoch();
        let now = self.clock.now();
        let asked = leads.iter().filter_map(|(index, _)| requests.get(*index));
        let asked: Vec<UnwrapRequest> = asked.cloned().collect();
        let (outcomes, ()) = tokio::join!(self.source.unwrap_fresh(&asked), self.report_if_due());
        let mut outcomes = outcomes.into_iter();
        let missing = || Error::corrupted("fewer answers than requests");
        for (index, lead) in leads {
            let outcome = outcomes.next().unwrap_or_else(|| Err(missing()));
            let outcome = outcome.map(Arc::new);
            match &outcome {
                Ok(key) => {
                    let evicted = self.opened.put(*lead.key(), Arc::clone(key), now, 0, epoch);
                    add(&self.counters.evictions, usize::from(evicted));
                }
                Err(_) => add(&self.counters.failures, 1),
            }
            lead.land(outcome.clone());
            if let Some(answer) = answers.get_mut(index) {
                *answer = Some(outcome);
            }
        }
    }
}

impl<S: KeySource, C: CacheClock> KeySource for Cached<S, C> {
    async fn generate(&self, requests: &[DataKeyRequest]) -> Vec<Result<GeneratedDataKey, Error>> {
        self.source.generate(requests).await
    }

    async fn unwrap_fresh(
        &self,
        requests: &[UnwrapRequest],
    ) -> Vec<Result<UnwrappedDataKey, Error>> {
        self.source.unwrap_fresh(requests).await
    }

    async fn shared_key(
        &self,
        request: &DataKeyRequest,
        bytes: u64,
    ) -> Result<Arc<GeneratedDataKey>, Error> {
        if bytes > self.limits.bytes {
            add(&self.counters.misses, 1);
            let asked = std::slice::from_ref(request);
            return only(self.source.generate(asked).await).map(Arc::new);
        }
        loop {
            let taken = self.shared.take(request, self.clock.now(), bytes);
            let valid = match taken {
                Some(taken) if !taken.aging => {
                    return Ok(self.hit(request, taken.value));
                }
                taken => taken.map(|taken| taken.value),
            };
            match (self.shared.flights.board(request), valid) {
                (Boarded::Leads(lead), None) => return self.fetch(lead, bytes).await,
                // an entry that still holds is no worse for a failed refresh
                (Boarded::Leads(lead), Some(valid)) => {
                    let fetched = self.fetch(lead, bytes).await;
                    return Ok(fetched.unwrap_or_else(|_| {
                        self.note(&valid.wrapped, request.key_context());
                        valid
                    }));
                }
                (Boarded::Follows(_), Some(valid)) => return Ok(self.hit(request, valid)),
                (Boarded::Follows(follow), None) => {
                    add(&self.counters.waits, 1);
                    if let Some(Err(error)) = follow.wait().await {
                        return Err(error);
                    }
                }
            }
        }
    }

    async fn unwrap(
        &self,
        requests: &[UnwrapRequest],
    ) -> Vec<Result<Arc<UnwrappedDataKey>, Error>> {
        let hashes: Vec<UnwrapHash> = requests.iter().map(unwrap_hash).collect();
        let mut answers: Vec<_> = requests.iter().map(|_| None).collect();
        while answers.iter().any(Option::is_none) {
            let mut leads = Vec::new();
            let mut follows: Vec<(usize, Follow<_>)> = Vec::new();
            let now = self.clock.now();
            let open = answers.iter_mut().zip(&hashes).enumerate();
            for (index, (answer, hash)) in open.filter(|(_, (answer, _))| answer.is_none()) {
                if let Some(taken) = self.opened.take(hash, now, 0) {
                    add(&self.counters.hits, 1);
                    if let Some(request) = requests.get(index) {
                        self.note(&request.wrapped, &request.key_context);
                    }
                    *answer = Some(Ok(taken.value));
                    continue;
                }
                match self.opened.flights.board(hash) {
                    Boarded::Leads(lead) => leads.push((index, lead)),
                    Boarded::Follows(follow) => follows.push((index, follow)),
                }
            }
            if !leads.is_empty() {
                self.fetch_opened(requests, leads, &mut answers).await;
            }
            // our own questions are answered: waiting for others' cannot close a circle
            for (index, follow) in follows {
                add(&self.counters.waits, 1);
                let outcome = follow.wait().await;
                if let Some(answer) = answers.get_mut(index) {
                    *answer = outcome;
                }
            }
        }
        answers.into_iter().flatten().collect()
    }
}

fn unwrap_hash(request: &UnwrapRequest) -> UnwrapHash {
    wrap_hash(&request.wrapped, &request.key_context)
}

fn wrap_hash(wrapped: &WrappedDataKey, context: &KeyContext) -> UnwrapHash {
    let mut form = Vec::new();
    push_counted(&mut form, wrapped.as_bytes());
    form.extend_from_slice(&context.canonical());
    let mut hash = [0; 32];
    hash.iter_mut()
        .zip(digest(&SHA256, &form).as_ref())
        .for_each(|(to, from)| *to = *from);
    hash
}

/// Shows how full it is, never a key.
impl<S: KeySource, C: CacheClock> fmt::Debug for Cached<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached")
            .field("limits", &self.limits)
            .field("len", &self.len())
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}
