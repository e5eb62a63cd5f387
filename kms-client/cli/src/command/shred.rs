//! `kms shred`: shred secrets. Destroying one destroys exactly what was encrypted with it, wherever
//! copies of that lie.

mod report;
mod selector;

use super::{call, present};
use crate::args::{Confirmation, value};
use crate::exit::Failure;
use crate::session::Session;
use clap::{Args, Subcommand};
use kms_client::make_request_id;
use kms_client::proto::v1;
use report::SecretReport;
use selector::{Scope, Selector};

/// Make, show, block and destroy the secrets of persons, accounts and months.
#[derive(Debug, Subcommand)]
pub(crate) enum Shred {
    /// Make one ahead of use; one that exists is shown as it is.
    Create(Create),
    /// Show one.
    Show {
        #[command(flatten)]
        selector: Selector,
    },
    /// Refuse every use until it is unblocked.
    Block(Restrict),
    /// Allow use again.
    Unblock(Restrict),
    /// Destroy one for ever, at once: everything encrypted with it is gone, in every copy.
    Destroy(Destroy),
}

/// `kms shred create`.
#[derive(Debug, Args)]
pub(crate) struct Create {
    #[command(flatten)]
    scope: Scope,
    /// Id of the destroyed secret of this name: only who knows it can make the name usable again.
    #[arg(long, value_name = "ID", value_parser = value::id)]
    succeeds: Option<[u8; 16]>,
}

/// `kms shred block` and `unblock`.
#[derive(Debug, Args)]
pub(crate) struct Restrict {
    #[command(flatten)]
    selector: Selector,
    /// Why; it is logged.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// `kms shred destroy`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  kms shred destroy --subject jane@example.com --class customer --reason 'request 17'")]
pub(crate) struct Destroy {
    #[command(flatten)]
    selector: Selector,
    /// Why; it is logged.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    confirmation: Confirmation,
}

impl Shred {
    /// Runs it.
    ///
    /// # Errors
    /// The service's.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let secret = match self {
            Self::Create(create) => return create.run(session).await,
            Self::Show { selector } => get(session, selector.proto()).await?,
            Self::Block(Restrict { selector, reason }) => {
                let selector = Some(selector.proto());
                let request = v1::BlockShredSecretRequest {
                    selector,
                    reason,
                    validate_only: false,
                };
                call!(session, once shred_service_client::ShredServiceClient.block_shred_secret, request)?.secret
            }
            Self::Unblock(Restrict { selector, reason }) => {
                let selector = Some(selector.proto());
                let request = v1::UnblockShredSecretRequest {
                    selector,
                    reason,
                    validate_only: false,
                };
                call!(session, once shred_service_client::ShredServiceClient.unblock_shred_secret, request)?.secret
            }
            Self::Destroy(destroy) => destroy.run(session).await?,
        };
        session.show(&SecretReport::new(&present(secret)?))
    }
}

/// One secret's public face.
async fn get(
    session: &Session,
    selector: v1::ShredSecretSelector,
) -> Result<Option<v1::ShredSecret>, Failure> {
    let request = v1::GetShredSecretRequest {
        selector: Some(selector),
    };
    let answer =
        call!(session, repeat shred_service_client::ShredServiceClient.get_shred_secret, request)?;
    Ok(answer.secret)
}

/// What the secret `id` stands for.
///
/// # Errors
/// The service's.
pub(crate) async fn scope_of(
    session: &Session,
    id: [u8; 16],
) -> Result<v1::ShredSecretScope, Failure> {
    let by = v1::shred_secret_selector::By::Id(id.to_vec().into());
    let secret = get(session, v1::ShredSecretSelector { by: Some(by) }).await?;
    present(present(secret)?.scope)
}

impl Create {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = v1::CreateShredSecretsRequest {
            items: vec![v1::CreateShredSecretItem {
                scope: Some(self.scope.proto()),
                succeeds_id: self
                    .succeeds
                    .map(|id| id.to_vec().into())
                    .unwrap_or_default(),
            }],
            request_id: make_request_id()?.to_vec().into(),
            validate_only: false,
        };
        let answer = call!(session, repeat shred_service_client::ShredServiceClient.create_shred_secrets, request)?;
        let result = present(answer.results.into_iter().next())?;
        if let Some(error) = result.error {
            return Err(kms_client::Error::from(error).into());
        }
        if !result.created {
            session.note("it existed already");
        }
        session.show(&SecretReport::new(&present(result.secret)?).created(result.created))
    }
}

impl Destroy {
    async fn run(self, session: &Session) -> Result<Option<v1::ShredSecret>, Failure> {
        let what = format!(
            "the secret of {} will be destroyed at once, and everything encrypted with it is then gone for good, in every copy",
            self.selector
        );
        session.confirm(&what, &self.selector.name(), &self.confirmation)?;
        let request = v1::DestroyShredSecretRequest {
            selector: Some(self.selector.proto()),
            reason: self.reason,
            validate_only: false,
        };
        let answer = call!(session, once shred_service_client::ShredServiceClient.destroy_shred_secret, request)?;
        Ok(answer.secret)
    }
}
