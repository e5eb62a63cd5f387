//! Forwards the audit log, each receiver by itself: the log is the spool, and a mark in the store says how far each is.
//! At least once, in order, with gaps said; one that is down waits longer and longer, and delays nobody.

use crate::call::{Batch, Lane, Service};
use crate::forward::Destination;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

/// How often it looks for new entries.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Between two marks in the store while entries come: what was sent behind the mark comes again after a restart.
const MARK_EVERY: Duration = Duration::from_secs(2);

/// For ever.
pub(super) async fn run(service: &Service, lane: &Lane) {
    let destinations = service.forwards().iter();
    let mut all: Vec<Pin<Box<_>>> = destinations
        .map(|destination| Box::pin(forward(service, lane, destination)))
        .collect();
    std::future::poll_fn(|context| {
        for one in &mut all {
            // none of them ends
            let _ = one.as_mut().poll(context);
        }
        Poll::<()>::Pending
    })
    .await;
}

/// Where one receiver is.
struct Place {
    next: u64,
    /// As the store knows it.
    marked: u64,
    marked_at: Duration,
}

async fn forward(service: &Service, lane: &Lane, destination: &Destination) {
    let Some(next) = begin(service, lane, destination).await else {
        return std::future::pending().await;
    };
    let mut place = Place {
        next,
        marked: next,
        marked_at: service.clock().monotonic(),
    };
    loop {
        let sent = match step(service, lane, destination, &mut place).await {
            Ok(sent) => sent,
            Err(problem) => {
                let wait = destination.standing().failed(problem.clone());
                let name = destination.name();
                tracing::warn!(name, next = place.next, %problem, "the audit log is not forwarded");
                pause(service, wait).await;
                continue;
            }
        };
        mark(service, destination, &mut place).await;
        if !sent {
            pause(service, LOOK_EVERY).await;
        }
    }
}

async fn pause(service: &Service, time: Duration) {
    let clock = service.clock();
    clock.wait_until(clock.monotonic() + time).await;
}

/// Finds the mark, or makes the first, and says in the log that copies go there from now on.
async fn begin(service: &Service, lane: &Lane, destination: &Destination) -> Option<u64> {
    loop {
        match service.begin_forwarding(lane, destination).await {
            Ok(next) => {
                destination.standing().next = Some(next);
                return Some(next);
            }
            // the daemon's own jobs ask nobody who could refuse: the store or the log cannot be had now
            Err(refusal) => {
                let wait = destination.standing().failed(refusal.reason.to_string());
                tracing::warn!(name = destination.name(), %refusal, "forwarding does not begin");
                pause(service, wait).await;
            }
        }
    }
}

/// Sends what is there; `false` when there is nothing.
async fn step(
    service: &Service,
    lane: &Lane,
    destination: &Destination,
    place: &mut Place,
) -> Result<bool, String> {
    let Some(Batch { events, next, gaps }) = service.batch(place.next).await? else {
        return Ok(false);
    };
    destination.send(&events, service.clock()).await?;
    place.next = next;
    let skipped: u64 = gaps.iter().map(|gap| gap.end - gap.start).sum();
    {
        let mut standing = destination.standing();
        standing.taken(next, service.clock().now());
        standing.skipped += skipped;
    }
    for gap in &gaps {
        service.note_gap(lane, destination, gap).await;
    }
    Ok(true)
}

/// Keeps in the store how far it is, not too often.
async fn mark(service: &Service, destination: &Destination, place: &mut Place) {
    let now = service.clock().monotonic();
    if place.marked == place.next || now < place.marked_at + MARK_EVERY {
        return;
    }
    if service.mark_forwarded(destination, place.next).await {
        place.marked = place.next;
    }
    place.marked_at = now;
}
