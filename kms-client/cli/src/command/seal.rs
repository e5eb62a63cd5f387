//! `kms seal`: an emergency brake, so it never asks.

use super::call;
use crate::exit::Failure;
use crate::session::Session;
use clap::Args;
use kms_client::proto::v1;

/// Make the service forget its master key at once: it answers nothing more until `kms unseal`.
#[derive(Debug, Args)]
pub(crate) struct Seal;

impl Seal {
    /// Runs it.
    ///
    /// # Errors
    /// The service's.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = v1::SealRequest {
            validate_only: false,
        };
        call!(session, once system_service_client::SystemServiceClient.seal, request)?;
        session.note("sealed; `kms unseal` opens it again");
        Ok(())
    }
}
