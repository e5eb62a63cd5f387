//! `kms`: the command line of the key management service.
//!
//! Results go to stdout, talk to stderr, and the exit code says what kind of failure it was. Never
//! prints a key or leaves half a plaintext behind unless it was told to write to stdout.

mod approver;
mod args;
mod command;
mod destination;
mod exit;
mod output;
mod person;
mod progress;
mod session;
mod source;
mod witness;

use clap::Parser as _;
use exit::{Exit, Failure};
use session::Session;
use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    match without_core_dumps().and_then(|()| run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // there is nobody to tell when stderr is gone
            let _ = writeln!(anstream::stderr(), "kms: {failure}");
            ExitCode::from(failure.exit() as u8)
        }
    }
}

/// A core dump would hold data keys and plaintext.
fn without_core_dumps() -> Result<(), Failure> {
    let none = rustix::process::Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    rustix::process::setrlimit(rustix::process::Resource::Core, none)
        .map_err(|error| Failure::failed(format!("core dumps cannot be switched off: {error}")))
}

fn run(cli: args::Cli) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let session = Session::new(cli.global);
    let result = runtime.block_on(async {
        tokio::select! {
            result = command::run(cli.command, &session) => result,
            // the command's future is dropped, and with it every unfinished file
            _ = tokio::signal::ctrl_c() => Err(Failure::new(Exit::Interrupted, "interrupted")),
        }
    });
    session.keep_operator_session();
    // a thread that still reads from a pipe is not waited for
    runtime.shutdown_background();
    result
}
