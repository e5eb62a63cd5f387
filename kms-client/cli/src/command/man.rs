//! `kms man`: the manual, made from the same definitions as the help.

use crate::args::Cli;
use crate::exit::Failure;
use crate::output;
use clap::{Args, CommandFactory as _};
use std::path::PathBuf;

/// Print the manual page, or write the pages of all commands.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kms man | man -l -
  kms man --dir ~/.local/share/man/man1")]
pub(crate) struct Man {
    /// Directory for the pages of all commands.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Man {
    /// Runs it.
    ///
    /// # Errors
    /// Those of stdout and the file system.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.dir {
            Some(dir) => std::fs::create_dir_all(&dir)
                .and_then(|()| clap_mangen::generate_to(Cli::command(), &dir))
                .map_err(|error| Failure::file(&dir, error)),
            None => {
                let mut page = Vec::new();
                clap_mangen::Man::new(Cli::command()).render(&mut page)?;
                output::write(&String::from_utf8_lossy(&page))
            }
        }
    }
}
