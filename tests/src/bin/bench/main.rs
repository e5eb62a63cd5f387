//! How fast the daemon answers, beside an empty tonic server in the same run: same machine, same minute, same
//! certificates, same client, same cores. Shows figures; asserts nothing.
//!
//! Closed loop: so many calls are in flight, each answer starts the next call. Sides take turns round by round, so
//! that drift of the machine meets all of them; a ratio is the median of the rounds' own ratios.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for developers: it prints, and what fails ends it"
)]

mod cores;
mod empty;
mod flood;
mod load;
mod report;
mod side;

use clap::{Parser, Subcommand, ValueEnum};
use report::{Point, Report};
use side::Side;
use std::path::PathBuf;
use std::time::Duration;

/// Compares the daemon with an empty tonic server under the same mTLS.
#[derive(Debug, Parser)]
struct Arguments {
    /// A first impression: 64 in flight only, short rounds.
    #[arg(long)]
    quick: bool,
    /// How to print.
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
    /// Rounds; each side is measured once a round.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Milliseconds of each measurement, after a third of that to warm up.
    #[arg(long, default_value_t = 1_000)]
    milliseconds: u64,
    /// Let servers and client share all cores instead of giving each its half.
    #[arg(long)]
    unpinned: bool,
    /// Measure only the empty servers: the ceiling.
    #[arg(long)]
    empty_only: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    Table,
    Json,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Runs the empty server (the bench starts this itself).
    #[command(hide = true)]
    Empty {
        /// Its runtimes.
        #[arg(long, value_enum)]
        shape: empty::Shape,
        /// Server certificate chain, PEM.
        #[arg(long)]
        certificate: PathBuf,
        /// Its key.
        #[arg(long)]
        key: PathBuf,
        /// Authority of the clients' certificates.
        #[arg(long)]
        client_ca: PathBuf,
    },
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(Role::Empty {
        shape,
        certificate,
        key,
        client_ca,
    }) = arguments.role
    {
        return empty::run(shape, &certificate, &key, &client_ca);
    }
    let pins = if arguments.unpinned {
        None
    } else {
        cores::halves()
    };
    let sides = if arguments.empty_only {
        side::start_empty_alone(pins.as_ref())
    } else {
        side::start_all(pins.as_ref())
    };
    if let Some(pins) = &pins {
        cores::bind(&pins.client);
    }
    let mut report = measure(&arguments, &sides, pins.as_ref());
    for side in sides {
        let whole = side.name == side::KMS;
        report.log = side.stop().filter(|_| whole).or(report.log);
    }
    match arguments.output {
        Output::Table => report.print_table(),
        Output::Json => println!("{}", report.json()),
    }
    Ok(())
}

fn measure(arguments: &Arguments, sides: &[Side], pins: Option<&cores::Halves>) -> Report {
    let in_flight: &[usize] = if arguments.quick {
        &[64]
    } else {
        &[1, 16, 64, 256]
    };
    let (rounds, milliseconds) = if arguments.quick {
        (3, 500)
    } else {
        (arguments.rounds, arguments.milliseconds)
    };
    let time = Duration::from_millis(milliseconds);
    let mut report = Report::new(pins, rounds, time);
    for round in 0..rounds {
        for &connections in &[1, 4] {
            for &in_flight in in_flight {
                let point = Point {
                    connections,
                    in_flight,
                };
                for side in sides {
                    let _beside = side.beside();
                    let figure = load::run(side, point, time);
                    report.add(point, side.name, figure);
                }
            }
        }
        eprintln!("round {} of {rounds} done", round + 1);
    }
    report
}
