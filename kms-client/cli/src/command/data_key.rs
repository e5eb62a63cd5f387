//! `kms data-key`: single data keys, for scripts that encrypt by themselves. The key in the clear is
//! shown only when asked for by name.

use super::dataset;
use crate::args::owner::Owner;
use crate::args::{Context, value};
use crate::exit::Failure;
use crate::output::{Report, Table};
use crate::session::Session;
use crate::source;
use clap::{Args, Subcommand};
use kms_client::wrapped::to_text;
use kms_client::{DataKey as Key, DataKeyRequest, DatasetName, UnwrapRequest, WrappedDataKey};
use serde::{Serialize, Serializer};

/// Make a data key, or open a wrapped one.
#[derive(Debug, Subcommand)]
pub(crate) enum DataKey {
    /// Make a data key and print it wrapped.
    Generate(Generate),
    /// Open a wrapped data key and print what it belongs to.
    Unwrap(Unwrap),
}

/// `kms data-key generate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kms data-key generate files --context tenant=acme
  kms data-key generate files --plaintext --output json")]
pub(crate) struct Generate {
    /// Dataset whose key wraps it.
    #[arg(value_parser = value::dataset)]
    dataset: DatasetName,
    #[command(flatten)]
    context: Context,
    #[command(flatten)]
    owner: Owner,
    /// Print the key in the clear too, as base64. Mind where stdout goes.
    #[arg(long)]
    plaintext: bool,
}

/// `kms data-key unwrap`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  kms data-key unwrap kms1:AQEJCQkJ... --context tenant=acme --plaintext")]
pub(crate) struct Unwrap {
    /// The wrapped data key: text (kms1:...), a file that holds it, or `-` for stdin.
    #[arg(value_name = "WRAPPED")]
    wrapped: Option<String>,
    #[command(flatten)]
    context: Context,
    /// Print the key in the clear too, as base64. Mind where stdout goes.
    #[arg(long)]
    plaintext: bool,
}

impl DataKey {
    /// Runs it.
    ///
    /// # Errors
    /// The service's.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::Generate(generate) => generate.run(session).await,
            Self::Unwrap(unwrap) => unwrap.run(session).await,
        }
    }
}

impl Generate {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let shred = self
            .owner
            .shred_uses(&dataset::get(session, &self.dataset).await?)?;
        let request = DataKeyRequest::new(self.dataset, self.context.key_context()?, shred)?;
        let client = session.client().await?;
        let (wrapped, plaintext) = if self.plaintext {
            let made = client.generate_data_key(&request).await?;
            (made.wrapped, Some(made.data_key))
        } else {
            let made = client.generate_wrapped_data_keys(&[request]).await;
            (super::present(made.into_iter().next())??, None)
        };
        session.show(&Generated {
            wrapped_data_key: to_text(wrapped.as_bytes()),
            version: wrapped.header().version,
            plaintext: plaintext.map(Shown),
        })
    }
}

impl Unwrap {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let key_context = self.context.key_context()?;
        let (blob, _) = source::blob(self.wrapped.as_deref(), session)?;
        let wrapped =
            WrappedDataKey::parse(&blob).map_err(|_| Failure::failed("not a wrapped data key"))?;
        let request = UnwrapRequest {
            wrapped,
            key_context,
        };
        let opened = session.client().await?.unwrap_data_key(&request).await?;
        session.show(&Unwrapped {
            dataset: opened.dataset.trim_start_matches("datasets/").to_owned(),
            version: opened.version,
            version_active: opened.version_active,
            version_compromised: opened.version_compromised,
            plaintext: self.plaintext.then_some(Shown(opened.data_key)),
        })
    }
}

/// A key that was asked for in the clear.
struct Shown(Key);

impl Shown {
    fn base64(&self) -> String {
        data_encoding::BASE64.encode(self.0.expose_bytes())
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.base64())
    }
}

#[derive(Serialize)]
struct Generated {
    wrapped_data_key: String,
    version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    plaintext: Option<Shown>,
}

impl Report for Generated {
    fn table(&self) -> Table {
        let mut table = Table::facts();
        table.fact("wrapped data key", &self.wrapped_data_key);
        table.fact("version", self.version.to_string());
        let plaintext = self.plaintext.as_ref().map(Shown::base64);
        table.fact("plaintext", plaintext.unwrap_or_default());
        table
    }
}

#[derive(Serialize)]
struct Unwrapped {
    dataset: String,
    version: u32,
    version_active: bool,
    version_compromised: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    plaintext: Option<Shown>,
}

impl Report for Unwrapped {
    fn table(&self) -> Table {
        let mut table = Table::facts();
        table.fact("dataset", &self.dataset);
        table.fact("version", self.version.to_string());
        table.fact("active", if self.version_active { "yes" } else { "no" });
        let compromised = if self.version_compromised {
            "yes"
        } else {
            "no"
        };
        table.fact("compromised", compromised);
        let plaintext = self.plaintext.as_ref().map(Shown::base64);
        table.fact("plaintext", plaintext.unwrap_or_default());
        table
    }
}
