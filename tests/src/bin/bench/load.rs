//! The closed loop: one client thread, so many connections, so many calls in flight.

use crate::report::{Figure, Point};
use crate::side::Side;
use kms_tests::gauge::cpu_time;
use kms_tests::wire::Wire;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::LocalSet;

/// What all loops of one measurement share.
#[derive(Debug, Default)]
struct Shared {
    measuring: Cell<bool>,
    done: Cell<bool>,
    microseconds: RefCell<Vec<u32>>,
    failures: Cell<u64>,
}

/// Measures one side at one point for `time`.
pub(crate) fn run(side: &Side, point: Point, time: Duration) -> Figure {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    LocalSet::new().block_on(&runtime, measure(side, point, time))
}

async fn measure(side: &Side, point: Point, time: Duration) -> Figure {
    let mut wires = Vec::new();
    for _ in 0..point.connections {
        let wire = Wire::connect(side.daemon.address, &side.credentials).await;
        wires.push(wire.expect("a connection"));
    }
    let shared = Rc::new(Shared::default());
    shared.microseconds.borrow_mut().reserve(1 << 20);
    let loops: Vec<_> = wires
        .iter()
        .cycle()
        .take(point.in_flight.max(point.connections))
        .take(point.in_flight)
        .map(|wire| {
            let (wire, shared) = (wire.clone(), shared.clone());
            let (path, body) = (side.path, side.body.clone());
            tokio::task::spawn_local(async move {
                while !shared.done.get() {
                    let began = Instant::now();
                    let answered = wire.raw(path, body.clone()).await.is_ok();
                    let micros = u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX);
                    if !shared.measuring.get() {
                        continue;
                    }
                    if answered {
                        shared.microseconds.borrow_mut().push(micros);
                    } else {
                        shared.failures.set(shared.failures.get() + 1);
                    }
                }
            })
        })
        .collect();
    tokio::time::sleep(time / 3).await;
    let (cpu, began) = (cpu_time(side.daemon.pid()), Instant::now());
    shared.measuring.set(true);
    tokio::time::sleep(time).await;
    shared.measuring.set(false);
    let elapsed = began.elapsed();
    // a thread of the blocking pool that ended meanwhile takes its share along
    let cpu = cpu_time(side.daemon.pid()).saturating_sub(cpu);
    shared.done.set(true);
    for each in loops {
        each.await.expect("a loop ends");
    }
    let mut microseconds = shared.microseconds.take();
    microseconds.sort_unstable();
    Figure::new(&microseconds, shared.failures.get(), elapsed, cpu)
}
