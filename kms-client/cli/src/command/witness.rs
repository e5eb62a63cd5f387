//! `kms witness`: runs a witness of one's own, for logs of this service and of others.

use crate::exit::Failure;
use crate::output::{Report, Table};
use crate::session::Session;
use crate::witness::{self, Memory, Trust, Witness};
use clap::{Args, Subcommand};
use serde::Serialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tlog::{Cosigner, VerifierKey};
use tokio::net::TcpListener;
use zeroize::Zeroizing;

/// Vouch for other people's logs.
#[derive(Debug, Subcommand)]
pub(crate) enum WitnessCommand {
    Key(Key),
    Serve(Serve),
}

/// Make this witness's key, or show it: the public half, for logs and auditors.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  kms witness key --state /var/lib/kms-witness --name witness.example/1")]
pub(crate) struct Key {
    /// Folder of the witness.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// Name of a new key: no blanks, no `+`; a host name that is yours, for example.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// Serve the C2SP tlog-witness protocol over HTTP: cosign each checkpoint that extends the last one seen.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  kms witness serve --state /var/lib/kms-witness --log audit.pub --listen 0.0.0.0:7410")]
pub(crate) struct Serve {
    /// Folder of the witness, with its key.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// Public key of an instance whose log is watched (a file like `audit.pub`), or of another log; may be given
    /// several times.
    #[arg(long, value_name = "FILE", required = true)]
    log: Vec<PathBuf>,
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7410")]
    listen: SocketAddr,
}

impl WitnessCommand {
    /// Runs it.
    ///
    /// # Errors
    /// Those of files and of the network.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::Key(key) => key.run(session),
            Self::Serve(serve) => serve.run(session).await,
        }
    }
}

impl Key {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let path = self.state.join(witness::KEY);
        if !path.exists() {
            let missing = || Failure::usage("there is no key yet: name the new one with --name");
            let name = self.name.as_deref().ok_or_else(missing)?;
            let text =
                Cosigner::make_random(name).map_err(|error| Failure::usage(error.to_string()))?;
            witness::keep_key(&self.state, &text).map_err(|error| Failure::file(&path, error))?;
        }
        let key = read_key(&path)?;
        let name = key.key().name();
        if self.name.as_deref().is_some_and(|given| given != name) {
            let text = format!("the key there is {name:?}, and stays");
            return Err(Failure::file(&path, text));
        }
        session.show(&Public {
            key: key.key().to_string(),
        })
    }
}

impl Serve {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let keys: Result<Vec<_>, _> = self.log.iter().map(|path| read_verifier(path)).collect();
        let cosigner = read_key(&self.state.join(witness::KEY))?;
        let memory = Memory::open(&self.state);
        let memory = memory.map_err(|error| Failure::file(&self.state, error))?;
        let listener = TcpListener::bind(self.listen).await?;
        let address = listener.local_addr()?;
        session.note(&format!("witness {}", cosigner.key()));
        crate::output::write(&format!("ready {address}\n"))?;
        let witness = Witness {
            memory,
            trust: Trust::new(keys?),
            cosigner: Some(cosigner),
        };
        witness::serve(witness, listener, |problem| session.note(problem)).await;
        Ok(())
    }
}

fn read_key(path: &Path) -> Result<Cosigner, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::file(path, error))?;
    Cosigner::parse(&Zeroizing::new(text)).map_err(|error| Failure::file(path, error))
}

/// A public key from its file.
///
/// # Errors
/// With the file's name.
pub(crate) fn read_verifier(path: &Path) -> Result<VerifierKey, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::file(path, error))?;
    VerifierKey::parse(&text).map_err(|error| Failure::file(path, error))
}

/// The public half of a witness's key.
#[derive(Debug, Serialize)]
struct Public {
    key: String,
}

impl Report for Public {
    fn table(&self) -> Table {
        let mut table = Table::facts();
        table.fact("key", &*self.key);
        table
    }
}
