//! The daemon's command line: what is to be served, and how a start that fails says why. Every failure
//! is one line on standard error and a number (docs/operations.md, "Exit codes of kms-server").

use clap::{Parser, Subcommand};
use kms_core::cipher::system_entropy::SystemEntropy;
use kms_core::entropy::Entropy;
use kms_server::config::Config;
use kms_server::dev::{self, Options};
use kms_server::serve::{self, Running, Start};
use kms_server::system::clock::{Clock, SystemClock};
use kms_server::system::failure::{Failure, FailureKind};
use kms_server::system::memory;
use kms_server::telemetry;
use mimalloc::MiMalloc;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};
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
    /// Make a development installation, or resume it, and serve it on this machine only.
    Dev {
        /// Its directory.
        #[arg(long, value_name = "DIR", default_value = "./kms-dev")]
        dir: PathBuf,
        /// A loopback address [first start: 127.0.0.1:7400, later: as in DIR/kms.toml].
        #[arg(long, value_name = "ADDR")]
        listen: Option<SocketAddr>,
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
            listen_to_us(&config, &warnings);
            let (listener, _) = dev::bind(config.server.listen)?;
            let start = Start {
                config,
                clock,
                entropy,
                listener,
                datasets: Vec::new(),
            };
            serve_until_stopped(start, "")
        }
        Command::Dev { dir, listen } => {
            let options = Options {
                directory: dir,
                listen,
            };
            let prepared = dev::prepare(&options, &clock, &*entropy)?;
            listen_to_us(&prepared.config, &warnings);
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

fn listen_to_us(config: &Config, warnings: &[String]) {
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
    // Caught before serving: a signal that comes during the start waits for its end.
    let signals = {
        let _inside = runtime.enter();
        Signals::catch().map_err(other)?
    };
    let running = serve::serve(start)?;
    ready(announcement, &running);
    runtime.block_on(async {
        signals.until_stop(&running).await;
        running.stop().await;
    });
    Ok(())
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// SIGHUP reads certificates again; SIGTERM and SIGINT end the wait.
    async fn until_stop(mut self, running: &Running) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => running.reload(),
            }
        }
    }
}

/// The last lines of a start, on standard output; whoever waits for them may have hung up.
fn ready(announcement: &str, running: &Running) {
    let mut out = io::stdout().lock();
    let _ = out
        .write_all(announcement.as_bytes())
        .and_then(|()| writeln!(out, "ready {}", running.address()))
        .and_then(|()| out.flush());
}
