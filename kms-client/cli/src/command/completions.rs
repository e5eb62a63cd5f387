//! `kms completions`: for the shells.

use crate::args::Cli;
use crate::exit::Failure;
use crate::output;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

/// Print completions for a shell.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  kms completions bash > ~/.local/share/bash-completion/completions/kms")]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    /// Runs it.
    ///
    /// # Errors
    /// Those of stdout.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "kms", &mut script);
        output::write(&String::from_utf8_lossy(&script))
    }
}
