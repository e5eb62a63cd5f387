//! Medians, spreads and ratios of the rounds, as a table or as JSON.

use crate::cores::Halves;
use crate::side::{EMPTY, EMPTY_PER_CORE, FLOODED, KMS, UNDER_POLICIES, WITHOUT};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Where on the map a figure stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Point {
    pub(crate) connections: usize,
    pub(crate) in_flight: usize,
}

/// One measurement of one side.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figure {
    calls_per_second: f64,
    p50_us: u32,
    p99_us: u32,
    cpu_us_per_call: f64,
    failures: u64,
}

impl Figure {
    /// From sorted latencies.
    pub(crate) fn new(sorted_us: &[u32], failures: u64, elapsed: Duration, cpu: Duration) -> Self {
        let calls = sorted_us.len();
        let rank = |percent: usize| {
            let at = (calls * percent / 100).min(calls.saturating_sub(1));
            sorted_us.get(at).copied().unwrap_or_default()
        };
        Self {
            calls_per_second: count(calls) / elapsed.as_secs_f64(),
            p50_us: rank(50),
            p99_us: rank(99),
            cpu_us_per_call: cpu.as_secs_f64() * 1e6 / count(calls.max(1)),
            failures,
        }
    }
}

/// A count as a number to divide by.
fn count(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

/// All rounds.
#[derive(Debug)]
pub(crate) struct Report {
    /// Entries, groups and syncs of the daemon's log over the whole run.
    pub(crate) log: Option<[u64; 3]>,
    setting: String,
    figures: BTreeMap<(Point, &'static str), Vec<Figure>>,
}

/// The goal at 64 in flight; a prototype reached 0.43.
const GOAL: f64 = 0.40;

impl Report {
    /// Nothing measured yet.
    pub(crate) fn new(pins: Option<&Halves>, rounds: usize, time: Duration) -> Self {
        let place = pins.map_or_else(
            || "servers and client share all cores".to_owned(),
            |pins| {
                format!(
                    "servers on cores {:?}, client on {:?}",
                    pins.server, pins.client
                )
            },
        );
        Self {
            log: None,
            setting: format!(
                "mTLS 1.3, closed loop, {rounds} rounds of {} ms each side in turn; {place}",
                time.as_millis()
            ),
            figures: BTreeMap::new(),
        }
    }

    /// Takes one measurement.
    pub(crate) fn add(&mut self, point: Point, side: &'static str, figure: Figure) {
        self.figures.entry((point, side)).or_default().push(figure);
    }

    /// Median of the rounds' ratios of the daemon to another side.
    fn ratio(&self, point: Point, to: &'static str) -> f64 {
        self.ratio_of(point, (KMS, to), |figure| figure.calls_per_second)
    }

    /// Median of the rounds' ratios of one side to another, of one figure.
    fn ratio_of(
        &self,
        point: Point,
        (one, other): (&'static str, &'static str),
        of: fn(&Figure) -> f64,
    ) -> f64 {
        let (Some(ours), Some(theirs)) = (
            self.figures.get(&(point, one)),
            self.figures.get(&(point, other)),
        ) else {
            return 0.0;
        };
        let each = ours.iter().zip(theirs);
        median(each.map(|(a, b)| of(a) / of(b).max(1.0)))
    }

    /// What sides of the daemon's cost, beside the daemon as it is.
    fn print_beside(&self, title: &str, sides: &[&'static str]) {
        println!("\n{title} / kms");
        println!(
            "{:>5} {:>9}  {:<24} {:>8} {:>8} {:>8} {:>8}",
            "conns", "in flight", "side", "calls/s", "p50", "p99", "cpu"
        );
        for &side in sides {
            for point in self.points() {
                let ratio = |of| self.ratio_of(point, (side, KMS), of);
                println!(
                    "{:>5} {:>9}  {side:<24} {:>8.3} {:>8.3} {:>8.3} {:>8.3}",
                    point.connections,
                    point.in_flight,
                    ratio(|figure| figure.calls_per_second),
                    ratio(|figure| f64::from(figure.p50_us)),
                    ratio(|figure| f64::from(figure.p99_us)),
                    ratio(|figure| figure.cpu_us_per_call),
                );
            }
        }
    }

    /// For people.
    pub(crate) fn print_table(&self) {
        println!("{}", self.setting);
        println!(
            "{:>5} {:>9}  {:<24} {:>10} {:>17} {:>8} {:>8} {:>9}",
            "conns",
            "in flight",
            "side",
            "calls/s",
            "least..greatest",
            "p50 us",
            "p99 us",
            "cpu us"
        );
        let mut last = None;
        for ((point, side), rounds) in &self.figures {
            if last.is_some_and(|last| last != *point) {
                println!();
            }
            last = Some(*point);
            let rates = || rounds.iter().map(|f| f.calls_per_second);
            println!(
                "{:>5} {:>9}  {:<24} {:>10.0} {:>8.0}..{:<7.0} {:>8} {:>8} {:>9.1}{}",
                point.connections,
                point.in_flight,
                side,
                median(rates()),
                rates().fold(f64::MAX, f64::min),
                rates().fold(0.0, f64::max),
                median(rounds.iter().map(|f| f64::from(f.p50_us))),
                median(rounds.iter().map(|f| f64::from(f.p99_us))),
                median(rounds.iter().map(|f| f.cpu_us_per_call)),
                failures(rounds)
            );
        }
        if self.points().next().is_none() {
            return;
        }
        println!("\nkms / empty: median of the rounds' ratios (goal at 64 in flight: {GOAL:.2})");
        println!(
            "{:>5} {:>9}  {:>12} {:>17}",
            "conns", "in flight", "/ plain", "/ runtime per core"
        );
        for point in self.points() {
            println!(
                "{:>5} {:>9}  {:>12.2} {:>17.2}",
                point.connections,
                point.in_flight,
                self.ratio(point, EMPTY),
                self.ratio(point, EMPTY_PER_CORE)
            );
        }
        println!("\nkms / kms without a part");
        for (without, _) in WITHOUT {
            for point in self.points() {
                println!(
                    "{:>5} {:>9}  {:<24} {:>6.3}",
                    point.connections,
                    point.in_flight,
                    without,
                    self.ratio(point, without)
                );
            }
        }
        let policies = UNDER_POLICIES.map(|(side, _)| side);
        self.print_beside("kms under policies", &policies);
        self.print_beside("kms under a login flood", &[FLOODED]);
        if let Some([entries, groups, syncs]) = self.log {
            println!("\naudit log: {entries} entries in {groups} groups, {syncs} syncs");
        }
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let figures: Vec<Value> = self
            .figures
            .iter()
            .flat_map(|((point, side), rounds)| {
                rounds.iter().enumerate().map(move |(round, figure)| {
                    json!({
                        "connections": point.connections,
                        "in_flight": point.in_flight,
                        "side": side,
                        "round": round,
                        "calls_per_second": figure.calls_per_second,
                        "p50_us": figure.p50_us,
                        "p99_us": figure.p99_us,
                        "server_cpu_us_per_call": figure.cpu_us_per_call,
                        "failures": figure.failures,
                    })
                })
            })
            .collect();
        let ratios: Vec<Value> = self
            .points()
            .map(|point| {
                let without: BTreeMap<&str, f64> = WITHOUT
                    .iter()
                    .map(|(without, _)| (*without, self.ratio(point, without)))
                    .collect();
                json!({
                    "connections": point.connections,
                    "in_flight": point.in_flight,
                    "to_plain": self.ratio(point, EMPTY),
                    "to_runtime_per_core": self.ratio(point, EMPTY_PER_CORE),
                    "to_kms_without": without,
                    "under_policies": UNDER_POLICIES
                        .map(|(side, _)| self.ratio_of(point, (side, KMS), |f| f.calls_per_second)),
                    "login_flood_p99":
                        self.ratio_of(point, (FLOODED, KMS), |f| f64::from(f.p99_us)),
                })
            })
            .collect();
        let log = self.log.map(|[entries, groups, syncs]| {
            json!({ "entries": entries, "groups": groups, "syncs": syncs })
        });
        json!({ "setting": self.setting, "audit_log": log, "figures": figures, "ratios": ratios })
    }

    fn points(&self) -> impl Iterator<Item = Point> + '_ {
        self.figures
            .keys()
            .filter(|(_, side)| *side == KMS)
            .map(|(point, _)| *point)
    }
}

fn failures(rounds: &[Figure]) -> String {
    match rounds.iter().map(|f| f.failures).sum::<u64>() {
        0 => String::new(),
        n => format!("  {n} FAILED"),
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_medians_of_rounds() {
        let point = Point {
            connections: 1,
            in_flight: 1,
        };
        let mut report = Report::new(None, 3, Duration::from_secs(1));
        for (ours, theirs) in [(1, 2), (9, 10), (3, 4)] {
            let figure = |n| Figure::new(&vec![7; n], 0, Duration::from_secs(1), Duration::ZERO);
            report.add(point, KMS, figure(ours * 100));
            report.add(point, EMPTY, figure(theirs * 100));
        }
        assert!((report.ratio(point, EMPTY) - 0.75).abs() < 1e-9);
        assert_eq!(report.figures[&(point, KMS)][0].p99_us, 7);
    }
}
