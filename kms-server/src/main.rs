//! The daemon's command line: what is to be served, and how a start that fails says why. Every failure
//! is one line on standard error and a number (docs/operations.md, "Exit codes of kms-server").

use clap::{Parser, Subcommand};
use kms_core::cipher::system_entropy::SystemEntropy;
use kms_core::entropy::Entropy;
use kms_server::config::Config;
use kms_server::dev::{self, Options};
use kms_server::init;
use kms_server::serve::{self, Running, Start};
use kms_server::system::clock::{Clock, SystemClock};
use kms_server::system::failure::{Failure, FailureKind};
use kms_server::system::{listen, memory};
use kms_server::telemetry;
use mimalloc::MiMalloc;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use zeroizing_alloc::ZeroAlloc;

/// Wipes every block of memory that is given back, those of libraries included.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<MiMalloc> = ZeroAlloc(MiMalloc);

/// Key management service for the data of a CRM.
#[derive(Parser)]
#[command(name = "kms-server", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve an installation.
    Run {
        /// The configuration file (TOML).
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Make the first files of a production installation in a new directory: configuration, certificates, store, the
    /// seal under a generated passphrase, the first operator's enrolment token.
    Init {
        /// Its directory; must not be there.
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// DNS name or address by which clients reach it; may stand several times, the first stands in profiles.
        #[arg(long = "name", value_name = "NAME", required = true)]
        names: Vec<String>,
        /// Where it listens.
        #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:7400")]
        listen: SocketAddr,
        /// Trust domain of the certificates that it makes [default: the first name].
        #[arg(long, value_name = "DOMAIN")]
        trust_domain: Option<String>,
        /// The first operator.
        #[arg(long, value_name = "USER", default_value = "admin")]
        operator: String,
        /// New file for the passphrase, instead of showing it.
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Make a development installation, or resume it, and serve it on this machine only.
    Dev {
        /// Its directory.
        #[arg(long, value_name = "DIR", default_value = "./kms-dev")]
        dir: PathBuf,
        /// A loopback address [first start: 127.0.0.1:7400, later: as in DIR/kms.toml].
        #[arg(long, value_name = "ADDR")]
        listen: Option<SocketAddr>,
        /// The audit log proves nothing (for the bench, which compares).
        #[arg(long, hide = true)]
        without_audit_tree: bool,
    },
}

fn main() -> ExitCode {
    match start(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nothing can be done when standard error is closed; the exit code still tells.
            let _ = writeln!(io::stderr(), "kms-server: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn start(command: Command) -> Result<(), Failure> {
    let warnings = memory::harden();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::new());
    match command {
        Command::Run { config } => {
            let config = Config::load(&config)?;
            announce(&config, &warnings);
            let (listener, _) = listen::bind(config.server.listen)?;
            let start = Start {
                config,
                clock,
                entropy,
                listener,
                datasets: Vec::new(),
            };
            serve_until_stopped(start, "")
        }
        Command::Init {
            dir,
            names,
            listen,
            trust_domain,
            operator,
            passphrase_file,
        } => {
            let options = init::Options {
                directory: dir,
                listen,
                names,
                trust_domain,
                operator,
                passphrase_file,
            };
            let made = init::make(&options, &clock, &*entropy)?;
            let mut out = io::stdout().lock();
            let told = out.write_all(made.announcement.as_bytes());
            told.and_then(|()| out.flush()).map_err(|error| {
                let message = format!("nobody was told the secrets: {error}");
                Failure::new(FailureKind::Other, message)
            })
        }
        Command::Dev {
            dir,
            listen,
            without_audit_tree,
        } => {
            let options = Options {
                directory: dir,
                listen,
                tree: !without_audit_tree,
            };
            let prepared = dev::prepare(&options, &clock, &*entropy)?;
            announce(&prepared.config, &warnings);
            let _lock = prepared.lock;
            let start = Start {
                config: prepared.config,
                clock,
                entropy,
                listener: prepared.listener,
                datasets: prepared.datasets,
            };
            serve_until_stopped(start, &prepared.announcement)
        }
    }
}

fn announce(config: &Config, warnings: &[String]) {
    telemetry::start(config.log);
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}

fn serve_until_stopped(start: Start, announcement: &str) -> Result<(), Failure> {
    let other = |error: io::Error| Failure::new(FailureKind::Other, error.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(other)?;
    runtime.block_on(async {
        // Before serving: a signal that comes during the start must not end the process half-way.
        let mut terminate = signal(SignalKind::terminate()).map_err(other)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(other)?;
        let mut hangup = signal(SignalKind::hangup()).map_err(other)?;
        let running = tokio::task::spawn_blocking(move || serve::serve(start)).await;
        let running = running.map_err(|error| other(io::Error::other(error)))??;
        ready(announcement, &running);
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hangup.recv() => running.reload(),
            }
        }
        running.stop().await;
        Ok(())
    })
}

/// The last lines of a start, on standard output; whoever waits for them may have hung up.
fn ready(announcement: &str, running: &Running) {
    let mut out = io::stdout().lock();
    let _ = out
        .write_all(announcement.as_bytes())
        .and_then(|()| writeln!(out, "ready {}", running.address()))
        .and_then(|()| out.flush());
}
