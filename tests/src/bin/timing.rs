//! Whether the time of a refused login tells if the account exists, or which half of the answer was wrong: Welch's t
//! between kinds of guesses, in random order, as dudect does it (Reparaz, Balasch, Verbauwhede, 2017). Shows figures;
//! asserts nothing. Above 4.5 a difference is likely, above 10 it is certain.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program for developers: it prints, and what fails ends it"
)]

use clap::Parser;
use kms_proto::v1::LoginRequest;
use kms_proto::v1::auth_service_client::AuthServiceClient;
use kms_tests::caller::{Caller, reason};
use kms_tests::daemon::Role;
use kms_tests::in_process::InProcess;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Compares the times of refused logins.
#[derive(Debug, Parser)]
struct Arguments {
    /// Rounds of eight guesses and one right login, which keeps the account from being locked.
    #[arg(long, default_value_t = 100)]
    rounds: u64,
}

/// A wrong answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Guess {
    UnknownName,
    WrongPassword,
    WrongCode,
}

impl Guess {
    const fn name(self) -> &'static str {
        match self {
            Self::UnknownName => "unknown name",
            Self::WrongPassword => "known name, wrong password",
            Self::WrongCode => "known name, right password, wrong code",
        }
    }
}

/// As many of unknown names as of the known one; the fifth failure would lock it.
const ROUND: [Guess; 8] = [
    Guess::UnknownName,
    Guess::UnknownName,
    Guess::UnknownName,
    Guess::UnknownName,
    Guess::WrongPassword,
    Guess::WrongPassword,
    Guess::WrongCode,
    Guess::WrongCode,
];

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    let process = InProcess::new();
    let running = process.serve().await;
    let mut order = ROUND;
    let mut random = SmallRng::seed_from_u64(1);
    let mut times = BTreeMap::<Guess, Vec<f64>>::new();
    for round in 0..arguments.rounds {
        order.shuffle(&mut random);
        // an idle connection ends when the clock moves
        let caller = process.caller(&running, Role::Operator).await;
        for guess in order {
            let micros = refused(&caller, guess, round).await;
            times.entry(guess).or_default().push(micros);
        }
        let person = caller.wire.person().expect("an operator");
        person
            .log_in(caller.wire.bare())
            .await
            .expect("the right answer");
        // the certificate's bucket of attempts fills
        process.clock.advance(Duration::from_mins(5));
    }
    running.stop().await;
    print(&times);
}

/// Microseconds until the guess was refused.
async fn refused(caller: &Caller, guess: Guess, round: u64) -> f64 {
    let person = caller.wire.person().expect("an operator");
    let user = match guess {
        // as long as the known one, and new in each round, so that neither is ever locked
        Guess::UnknownName => format!("m{round:04}"),
        Guess::WrongPassword | Guess::WrongCode => person.user().to_owned(),
    };
    let password = match guess {
        Guess::WrongCode => person.password(),
        Guess::UnknownName | Guess::WrongPassword => "a guess".repeat(4),
    };
    let request = LoginRequest {
        user,
        password,
        code: "000000".into(),
        validate_only: false,
    };
    let mut client = AuthServiceClient::new(caller.wire.bare());
    let began = Instant::now();
    let refusal = client.login(request).await.expect_err("a wrong answer");
    let elapsed = began.elapsed();
    assert_eq!(reason(&refusal), "LOGIN_FAILED", "{guess:?}");
    elapsed.as_secs_f64() * 1e6
}

fn print(times: &BTreeMap<Guess, Vec<f64>>) {
    println!(
        "{:<40} {:>6} {:>10} {:>10} {:>8} {:>12}",
        "guess", "n", "mean us", "median us", "t", "t, cropped"
    );
    let all: Vec<f64> = times.values().flatten().copied().collect();
    let limit = percentile(&all, 90);
    let crop = |times: &[f64]| -> Vec<f64> {
        let kept = times.iter().copied().filter(|time| *time <= limit);
        kept.collect()
    };
    let base = &times[&Guess::UnknownName];
    for (guess, own) in times {
        let (plain, cropped) = (welch(own, base), welch(&crop(own), &crop(base)));
        println!(
            "{:<40} {:>6} {:>10.0} {:>10.0} {plain:>8.2} {cropped:>12.2}",
            guess.name(),
            own.len(),
            moments(own).0,
            percentile(own, 50),
        );
    }
    println!("t: against unknown names; cropped: without the slowest tenth of all");
}

fn percentile(times: &[f64], percent: usize) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = sorted.len() * percent / 100;
    sorted.get(at).copied().unwrap_or_default()
}

/// Mean, and variance of the mean.
fn moments(times: &[f64]) -> (f64, f64) {
    let count = f64::from(u32::try_from(times.len()).expect("few samples")).max(2.0);
    let mean = times.iter().sum::<f64>() / count;
    let squares = times.iter().map(|time| (time - mean).powi(2)).sum::<f64>();
    (mean, squares / (count - 1.0) / count)
}

/// Welch's t: the difference of the means in units of its own standard error.
fn welch(one: &[f64], other: &[f64]) -> f64 {
    let ((a, x), (b, y)) = (moments(one), moments(other));
    (a - b) / (x + y).sqrt().max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_is_large_for_different_means_only() {
        let around = |mean: f64| -> Vec<f64> {
            let spread = (0..100).map(|i| f64::from(i % 10) - 4.5);
            spread.map(|off| mean + off).collect()
        };
        assert!(welch(&around(100.0), &around(100.0)).abs() < 1e-9);
        assert!(welch(&around(110.0), &around(100.0)) > 10.0);
        assert!(welch(&around(90.0), &around(100.0)) < -10.0);
    }
}
