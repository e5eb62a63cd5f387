//! Who is at the other end: TLS configuration, trust, and the principal of a certificate. Never
//! decides what a principal may do, and never reads a certificate from a header.

pub mod certificate;
pub mod connection;
mod trust;

pub use connection::Connection;
pub use trust::{BadFile, ClientCertificate, Files};

use crate::system::clock::Clock;
use arc_swap::ArcSwap;
use certificate::Presented;
use kms_core::policy::{Authentication, Principal, RoleTable};
use kms_core::reason::Reason;
use kms_core::time::Timestamp;
use rustls_pki_types::CertificateDer;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use trust::{Contents, Trust};

/// How often the files are looked at without being told to.
pub const POLL_EVERY: Duration = Duration::from_secs(10);

/// A chain is verified again after this time even under the same trust: an intermediate may have
/// expired. The leaf's validity is looked at on every call.
const VERIFY_EVERY: Duration = Duration::from_secs(60);

/// The daemon's TLS identity and the authorities it trusts, exchanged as a whole when the files change.
pub struct Identity {
    files: Files,
    demand: ClientCertificate,
    principals: RoleTable,
    clock: Arc<dyn Clock>,
    trust: ArcSwap<Trust>,
    // fingerprint of the contents tried last, good or bad: a bad file is complained about once
    tried: Mutex<[u8; 32]>,
}

/// The TLS side of one accepted connection: taken before the handshake, so that both see one trust.
pub struct Session {
    generation: u64,
    /// For the handshake.
    pub config: Arc<rustls::ServerConfig>,
}

impl Identity {
    /// Reads the files.
    ///
    /// # Errors
    /// [`BadFile`] names the first file that cannot be used and why.
    pub fn load(
        files: Files,
        demand: ClientCertificate,
        principals: RoleTable,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BadFile> {
        let contents = Contents::read(&files)?;
        let trust = Trust::new(1, &files, &contents, demand, &clock)?;
        Ok(Self {
            tried: Mutex::new(contents.fingerprint()),
            files,
            demand,
            principals,
            clock,
            trust: ArcSwap::from_pointee(trust),
        })
    }

    /// Reads the files again; `Ok(false)` when they are as when last tried. What is in use stays
    /// in use when they are bad.
    ///
    /// # Errors
    /// [`BadFile`] names the first file that cannot be used and why.
    pub fn reload(&self) -> Result<bool, BadFile> {
        let contents = Contents::read(&self.files)?;
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        if *tried == contents.fingerprint() {
            return Ok(false);
        }
        *tried = contents.fingerprint();
        let generation = self.generation().saturating_add(1);
        let trust = Trust::new(generation, &self.files, &contents, self.demand, &self.clock)?;
        self.trust.store(Arc::new(trust));
        Ok(true)
    }

    /// Looks at the files every [`POLL_EVERY`] and whenever `asked`; never ends.
    pub async fn keep_fresh(self: Arc<Self>, asked: Arc<Notify>) {
        loop {
            let next = self.clock.monotonic().saturating_add(POLL_EVERY);
            tokio::select! {
                () = self.clock.wait_until(next) => {}
                () = asked.notified() => {}
            }
            let identity = Arc::clone(&self);
            match tokio::task::spawn_blocking(move || identity.reload()).await {
                Ok(Ok(true)) => tracing::info!(
                    generation = self.generation(),
                    "certificates and revocation lists reloaded"
                ),
                Ok(Ok(false)) | Err(_) => {}
                Ok(Err(error)) => {
                    tracing::error!(%error, "reload refused; the former certificates stay in use");
                }
            }
        }
    }

    /// Counts the trusts since start, from 1.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.trust.load().generation
    }

    /// For one handshake.
    #[must_use]
    pub fn session(&self) -> Session {
        let trust = self.trust.load();
        Session {
            generation: trust.generation,
            config: Arc::clone(&trust.server),
        }
    }

    /// A connection whose handshake under `session` ended well.
    #[must_use]
    pub fn connection(
        &self,
        session: &Session,
        number: u64,
        peer: SocketAddr,
        chain: Option<&[CertificateDer<'_>]>,
    ) -> Connection {
        let owned = |chain: &[CertificateDer<'_>]| -> Vec<CertificateDer<'static>> {
            chain.iter().map(|c| c.clone().into_owned()).collect()
        };
        let presented = chain.and_then(|chain| Presented::read(owned(chain)));
        let connection = Connection::new(number, peer, presented);
        connection.set_verified(session.generation, self.clock.now());
        connection
    }

    /// The principal behind `connection` as of now: asked on every call, because a certificate
    /// expires and is revoked while its connection lives. Cheap while the trust is unchanged.
    ///
    /// # Errors
    /// [`Reason::Unauthenticated`]: no certificate, one without a principal's name, out of its
    /// validity, revoked, or of an authority that is no longer trusted.
    pub fn identify(&self, connection: &Connection, now: Timestamp) -> Result<Principal, Reason> {
        let presented = connection.presented().ok_or(Reason::Unauthenticated)?;
        let name = presented.name().map_err(|_| Reason::Unauthenticated)?;
        if !presented.is_valid_at(now) {
            return Err(Reason::Unauthenticated);
        }
        let trust = self.trust.load();
        if !connection.is_verified(trust.generation, now, VERIFY_EVERY) {
            trust
                .verify(presented.chain(), now)
                .map_err(|_| Reason::Unauthenticated)?;
            connection.set_verified(trust.generation, now);
        }
        Ok(Principal {
            name: name.clone(),
            authentication: Authentication::Certificate,
            roles: self.principals.of(name),
            attributes: None,
            second_factor: None,
        })
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("files", &self.files)
            .field("generation", &self.generation())
            .finish_non_exhaustive()
    }
}
