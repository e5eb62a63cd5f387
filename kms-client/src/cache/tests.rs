//! The cache against a service in memory and a clock that the tests move.

use super::*;
use crate::ErrorKind;
use crate::source::CachedUse;
use crate::source::local::{LocalService, request};
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::yield_now;

#[derive(Default)]
struct Hand(Mutex<Duration>);

impl Hand {
    fn forward(&self, seconds: u64) {
        *self.0.lock().unwrap() += Duration::from_secs(seconds);
    }
}

impl CacheClock for Arc<Hand> {
    fn now(&self) -> Duration {
        *self.0.lock().unwrap()
    }
}

impl KeySource for Arc<LocalService> {
    async fn generate(&self, requests: &[DataKeyRequest]) -> Vec<Result<GeneratedDataKey, Error>> {
        LocalService::generate(self, requests).await
    }
    async fn unwrap_fresh(
        &self,
        requests: &[UnwrapRequest],
    ) -> Vec<Result<UnwrappedDataKey, Error>> {
        LocalService::unwrap_fresh(self, requests).await
    }
    async fn report_uses(&self, uses: &[CachedUse<'_>], more: u64) -> Result<(), Error> {
        LocalService::report_uses(self, uses, more).await
    }
}

type TestCache = Arc<Cached<Arc<LocalService>, Arc<Hand>>>;

fn cache(limits: CacheLimits) -> (TestCache, Arc<LocalService>, Arc<Hand>) {
    let (service, hand) = (Arc::new(LocalService::new()), Arc::new(Hand::default()));
    let cache = Cached::with_clock(Arc::clone(&service), limits, Arc::clone(&hand)).unwrap();
    (Arc::new(cache), service, hand)
}

fn limits() -> CacheLimits {
    CacheLimits {
        age: Duration::from_secs(100),
        messages: 5,
        bytes: 1000,
        entries: 3,
        report: true,
    }
}

fn calls(service: &LocalService) -> u64 {
    service.calls.load(Ordering::SeqCst)
}

async fn wrapped(service: &Arc<LocalService>, tenant: &str) -> UnwrapRequest {
    let request = request(tenant);
    let key = only(service.generate(std::slice::from_ref(&request)).await).unwrap();
    UnwrapRequest {
        wrapped: key.wrapped,
        key_context: request.key_context().clone(),
    }
}

#[tokio::test]
async fn messages_bytes_and_age_bound_a_shared_key() {
    let (cache, service, hand) = cache(limits());
    let acme = request("acme");
    for _ in 0..5 {
        cache.shared_key(&acme, 1).await.unwrap();
    }
    assert_eq!(calls(&service), 1);
    cache.shared_key(&acme, 999).await.unwrap(); // the sixth message
    assert_eq!(calls(&service), 2);
    cache.shared_key(&acme, 1).await.unwrap(); // byte 1,000
    assert_eq!(calls(&service), 2);
    cache.shared_key(&acme, 1).await.unwrap(); // byte 1,001
    assert_eq!(calls(&service), 3);
    hand.forward(100);
    cache.shared_key(&acme, 1).await.unwrap();
    assert_eq!(calls(&service), 4);
    cache.shared_key(&acme, 1001).await.unwrap(); // more than any key may take: a key of its own
    cache.shared_key(&acme, 1).await.unwrap();
    assert_eq!(calls(&service), 5);
}

#[tokio::test]
async fn partitions_share_nothing_and_the_oldest_goes() {
    let (cache, service, _) = cache(limits());
    let mut keys = Vec::new();
    for tenant in ["a", "b", "c"] {
        let key = cache.shared_key(&request(tenant), 1).await.unwrap();
        keys.push(key.wrapped.clone());
    }
    let with_subject = DataKeyRequest::new(
        request("a").dataset().clone(),
        request("a").key_context().clone(),
        vec![crate::ShredUse::subject("jane").unwrap().create_if_absent()],
    );
    let key = cache.shared_key(&with_subject.unwrap(), 1).await.unwrap();
    assert!(!keys.contains(&key.wrapped));
    assert_eq!(calls(&service), 4);
    assert_eq!((cache.len().0, cache.counts().evictions), (3, 1));
    cache.shared_key(&request("a"), 1).await.unwrap();
    assert_eq!(calls(&service), 5);
}

#[tokio::test]
async fn one_asks_and_the_others_wait() {
    let (cache, service, _) = cache(limits());
    service.gate.forget_permits(usize::MAX >> 3);
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let cache = Arc::clone(&cache);
            tokio::spawn(async move { cache.shared_key(&request("acme"), 1).await.map(drop) })
        })
        .collect();
    yield_now().await;
    assert_eq!((calls(&service), cache.counts().waits), (1, 3));
    service.gate.add_permits(1);
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
    assert_eq!(calls(&service), 1);
}

#[tokio::test]
async fn a_failure_is_told_to_who_waits_and_to_nobody_later() {
    let (cache, service, _) = cache(limits());
    service.down.store(true, Ordering::SeqCst);
    service.gate.forget_permits(usize::MAX >> 3);
    let callers: Vec<_> = (0..3)
        .map(|_| {
            let cache = Arc::clone(&cache);
            tokio::spawn(async move { cache.shared_key(&request("acme"), 1).await.map(drop) })
        })
        .collect();
    yield_now().await;
    service.gate.add_permits(100);
    for caller in callers {
        let error = caller.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
    assert_eq!((calls(&service), cache.counts().failures), (1, 1));
    assert!(cache.is_empty());
    service.down.store(false, Ordering::SeqCst);
    assert!(cache.shared_key(&request("acme"), 1).await.is_ok());
}

#[tokio::test]
async fn who_hangs_up_leaves_the_others_to_ask() {
    let (cache, service, _) = cache(limits());
    service.gate.forget_permits(usize::MAX >> 3);
    let call = |cache: &TestCache| {
        let cache = Arc::clone(cache);
        tokio::spawn(async move { cache.shared_key(&request("acme"), 1).await.map(drop) })
    };
    let leader = call(&cache);
    let follower = call(&cache);
    yield_now().await;
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    service.gate.add_permits(1);
    follower.await.unwrap().unwrap();
    assert_eq!(calls(&service), 2);
}

#[tokio::test]
async fn an_aging_key_is_refreshed_by_one_and_outlives_a_failed_refresh() {
    let (cache, service, hand) = cache(limits());
    let first = cache.shared_key(&request("acme"), 1).await.unwrap();
    hand.forward(80);
    service.down.store(true, Ordering::SeqCst);
    let kept = cache.shared_key(&request("acme"), 1).await.unwrap();
    assert_eq!(kept.wrapped, first.wrapped);
    service.down.store(false, Ordering::SeqCst);
    service.gate.forget_permits(usize::MAX >> 3);
    let refresher = {
        let cache = Arc::clone(&cache);
        tokio::spawn(async move { cache.shared_key(&request("acme"), 1).await.unwrap() })
    };
    yield_now().await;
    let meanwhile = cache.shared_key(&request("acme"), 1).await.unwrap();
    assert_eq!(meanwhile.wrapped, first.wrapped);
    service.gate.add_permits(2);
    assert_ne!(refresher.await.unwrap().wrapped, first.wrapped);
    service.down.store(true, Ordering::SeqCst);
    hand.forward(100);
    let error = cache.shared_key(&request("acme"), 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn opened_keys_are_remembered_by_key_and_context() {
    let (cache, service, hand) = cache(limits());
    let (a, b) = (wrapped(&service, "a").await, wrapped(&service, "b").await);
    let before = calls(&service);
    let page = [a.clone(), b.clone(), a.clone()];
    let opened = cache.unwrap(&page).await;
    assert!(opened.iter().all(Result::is_ok));
    assert_eq!(calls(&service), before + 1);
    assert!(cache.unwrap(&page).await.iter().all(Result::is_ok));
    assert_eq!(calls(&service), before + 1);
    let foreign = UnwrapRequest {
        key_context: b.key_context,
        ..a.clone()
    };
    for _ in 0..2 {
        let error = only(cache.unwrap(std::slice::from_ref(&foreign)).await).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Undecryptable);
    }
    assert_eq!(calls(&service), before + 3);
    hand.forward(100);
    cache.unwrap(&[a]).await;
    assert_eq!(calls(&service), before + 4);
}

#[tokio::test]
async fn what_was_asked_before_a_clearing_is_not_kept() {
    let (cache, service, _) = cache(limits());
    let a = wrapped(&service, "a").await;
    service.gate.forget_permits(usize::MAX >> 3);
    let asking = {
        let (cache, a) = (Arc::clone(&cache), a.clone());
        tokio::spawn(async move { cache.unwrap(&[a]).await.len() })
    };
    yield_now().await;
    cache.clear();
    service.gate.add_permits(1);
    assert_eq!(asking.await.unwrap(), 1);
    assert!(cache.is_empty());
}

#[tokio::test]
async fn sweeping_drops_the_last_copy_of_an_aged_key() {
    let (cache, service, hand) = cache(limits());
    let a = wrapped(&service, "a").await;
    let key = only(cache.unwrap(&[a]).await).unwrap();
    let watched = Arc::downgrade(&key);
    drop(key);
    assert!(watched.upgrade().is_some());
    hand.forward(100);
    cache.sweep();
    assert!(watched.upgrade().is_none());
}

#[test]
fn limits_out_of_range_are_refused() {
    for bad in [
        CacheLimits {
            age: Duration::ZERO,
            ..limits()
        },
        CacheLimits {
            age: Duration::from_secs(3601),
            ..limits()
        },
        CacheLimits {
            messages: 0,
            ..limits()
        },
        CacheLimits {
            bytes: 0,
            ..limits()
        },
        CacheLimits {
            entries: 0,
            ..limits()
        },
    ] {
        assert!(Cached::new(LocalService::new(), bad).is_err());
    }
}

fn reports(service: &LocalService) -> Vec<Vec<(u64, u64, u64)>> {
    service.reports.lock().unwrap().clone()
}

/// Opens one wrapped key so many times.
async fn open_times(cache: &TestCache, wrapped: &UnwrapRequest, times: usize) {
    for _ in 0..times {
        let opened = cache.unwrap(std::slice::from_ref(wrapped)).await;
        assert!(opened[0].is_ok());
    }
}

#[tokio::test]
async fn uses_of_remembered_keys_are_reported_with_the_next_question() {
    let (cache, service, hand) = cache(limits());
    let (one, two) = (wrapped(&service, "a").await, wrapped(&service, "b").await);
    open_times(&cache, &one, 3).await;
    hand.forward(10);
    open_times(&cache, &one, 1).await;
    open_times(&cache, &two, 2).await;
    // not yet due: nobody was told
    assert!(reports(&service).is_empty());
    hand.forward(60);
    open_times(&cache, &wrapped(&service, "c").await, 1).await;
    // the first opening of each was the service's own, and is not among them
    assert_eq!(reports(&service), [[(1, 60, 60), (3, 70, 60)]]);
    cache.report().await.unwrap();
    assert_eq!(reports(&service).len(), 1, "there was nothing more to say");
}

#[tokio::test]
async fn a_report_that_is_not_taken_waits_and_is_not_lost() {
    let (cache, service, hand) = cache(limits());
    let one = wrapped(&service, "a").await;
    open_times(&cache, &one, 2).await;
    service.down.store(true, Ordering::SeqCst);
    assert!(cache.report().await.is_err());
    service.down.store(false, Ordering::SeqCst);
    open_times(&cache, &one, 1).await;
    hand.forward(99);
    // due by its age, but not so soon after a failure
    open_times(&cache, &wrapped(&service, "b").await, 1).await;
    assert!(reports(&service).is_empty());
    hand.forward(600);
    open_times(&cache, &wrapped(&service, "c").await, 1).await;
    assert_eq!(reports(&service), [[(2, 699, 699)]]);
}

#[tokio::test]
async fn shared_keys_are_reported_too_and_nothing_is_when_it_is_off() {
    let (on, service, _) = cache(limits());
    for _ in 0..3 {
        on.shared_key(&request("a"), 1).await.unwrap();
    }
    on.report().await.unwrap();
    assert_eq!(reports(&service), [[(2, 0, 0)]]);
    let (off, service, _) = cache(CacheLimits {
        report: false,
        ..limits()
    });
    for _ in 0..3 {
        off.shared_key(&request("a"), 1).await.unwrap();
    }
    off.report().await.unwrap();
    assert!(reports(&service).is_empty());
}
