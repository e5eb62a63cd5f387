//! Who is at the other end: TLS configuration, trust, and the principal of a certificate. Never
//! decides what a principal may do, and never reads a certificate from a header.

pub mod authority;
pub mod authorization;
pub mod certificate;
pub mod connection;
pub mod token;
mod trust;
mod who_is_who;

pub use authorization::Authorization;
pub use connection::Connection;
pub use trust::{BadFile, ClientCertificate, Files};

use crate::config::issuer::Issuer;
use crate::config::trust::TrustSettings;
use crate::system::clock::Clock;
use arc_swap::{ArcSwap, ArcSwapOption};
use certificate::Presented;
use kms_core::key::record::TrustRecord;
use kms_core::name::PrincipalName;
use kms_core::policy::{Authentication, Principal, Role, RoleTable, Roles};
use kms_core::reason::Reason;
use kms_core::time::Timestamp;
use rustls_pki_types::CertificateDer;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use token::{Refusal, Verified};
use tokio::sync::Notify;
use trust::{Contents, Trust};
use who_is_who::{InForce, configured};

/// How often the files are looked at without being told to.
pub const POLL_EVERY: Duration = Duration::from_secs(10);

/// A chain is verified again after this time even under the same trust: an intermediate may have
/// expired. The leaf's validity is looked at on every call.
const VERIFY_EVERY: Duration = Duration::from_secs(60);

/// The daemon's TLS identity and the authorities it trusts, exchanged as a whole when the files change.
pub struct Identity {
    files: Files,
    demand: ClientCertificate,
    settings: Settings,
    clock: Arc<dyn Clock>,
    trust: ArcSwap<Trust>,
    in_force: ArcSwap<InForce>,
    /// What people approved; `None` while nobody did, or while that cannot be read yet.
    approved: ArcSwapOption<TrustRecord>,
    /// What the configuration says now.
    document: ArcSwap<String>,
    /// Another table of principals and issuers is in force.
    exchanged: Notify,
    // fingerprint of the contents tried last, good or bad: a bad file is complained about once
    tried: Mutex<[u8; 32]>,
}

/// What the configuration says of who is who.
#[derive(Debug)]
pub struct Settings {
    /// Certificates to roles.
    pub principals: RoleTable,
    /// Whose tokens are taken.
    pub issuers: Vec<Issuer>,
    /// The same, as people approve it.
    pub trust: TrustSettings,
}

/// The TLS side of one accepted connection: taken before the handshake, so that both see one trust.
pub struct Session {
    generation: u64,
    is_plain: bool,
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
        settings: Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BadFile> {
        let contents = Contents::read(&files)?;
        let trust = Trust::new(1, &files, &contents, (demand, None), &clock)?;
        let document = settings.document(&files, &contents)?;
        Ok(Self {
            in_force: ArcSwap::from_pointee(configured(&settings, &clock)?),
            approved: ArcSwapOption::empty(),
            tried: Mutex::new(contents.fingerprint()),
            document: ArcSwap::from_pointee(document),
            exchanged: Notify::new(),
            settings,
            files,
            demand,
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
        let document = self.settings.document(&self.files, &contents)?;
        self.exchange(&contents, document)?;
        Ok(true)
    }

    /// Looks at the files every [`POLL_EVERY`] and whenever `asked`, and at the issuers' keys; never ends.
    pub async fn keep_fresh(self: Arc<Self>, asked: Arc<Notify>) {
        tokio::join!(
            Arc::clone(&self).keep_files_fresh(asked),
            self.keep_tokens_fresh()
        );
    }

    /// The keys of whichever issuers are in force.
    async fn keep_tokens_fresh(&self) {
        loop {
            let in_force = self.in_force.load_full();
            tokio::select! {
                () = in_force.tokens.keep_fresh(&*self.clock) => {}
                () = self.exchanged.notified() => {}
            }
        }
    }

    async fn keep_files_fresh(self: Arc<Self>, asked: Arc<Notify>) {
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
            is_plain: trust.is_plain(),
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
        if session.is_plain {
            connection.set_verified(session.generation, self.clock.now());
        }
        connection
    }

    /// The roles that the configuration gives a name.
    #[must_use]
    pub fn roles_of(&self, name: &PrincipalName) -> Roles {
        self.in_force.load().principals.of(name)
    }

    /// Everybody whom the configuration in force gives a role.
    #[must_use]
    pub fn configured(&self) -> Vec<(PrincipalName, Roles)> {
        let in_force = self.in_force.load();
        let roles = in_force.principals.roles.iter();
        roles.map(|(name, roles)| (name.clone(), *roles)).collect()
    }

    /// Whether a listener takes this chain, leaf first, at `now`.
    ///
    /// # Errors
    /// What rustls says of it.
    pub fn accepts(
        &self,
        chain: &[CertificateDer<'static>],
        now: Timestamp,
    ) -> Result<(), rustls::Error> {
        self.trust.load().verify(chain, now)
    }

    /// The principal of a call as of now: asked on every call, because certificates and tokens expire and are
    /// revoked while a connection lives. Cheap while nothing changed. Waits only for a key that the token's issuer
    /// may have made since its keys were last fetched.
    ///
    /// # Errors
    /// [`Reason::Unauthenticated`]: neither certificate nor token, one that is not acceptable, or both that do
    /// not belong together.
    pub async fn identify(
        &self,
        connection: &Connection,
        authorization: &Authorization,
        now: Timestamp,
    ) -> Result<Principal, Reason> {
        let mut found = self.look_at(connection, authorization, now);
        if let (Err(Refusal::UnknownKey), Some(token)) = (&found, authorization.token())
            && self.refreshed(token).await
        {
            found = self.look_at(connection, authorization, self.clock.now());
        }
        found.map_err(|refusal| {
            if authorization.token().is_some() {
                tracing::debug!(connection = connection.number(), %refusal, "a token was refused");
            }
            Reason::Unauthenticated
        })
    }

    async fn refreshed(&self, token: &[u8]) -> bool {
        let in_force = self.in_force.load_full();
        in_force.tokens.refreshed(token, &*self.clock).await
    }

    /// Whether the caller is somebody, without waiting for anything.
    #[must_use]
    pub fn knows(
        &self,
        connection: &Connection,
        authorization: &Authorization,
        now: Timestamp,
    ) -> bool {
        self.look_at(connection, authorization, now).is_ok()
    }

    fn look_at(
        &self,
        connection: &Connection,
        authorization: &Authorization,
        now: Timestamp,
    ) -> Result<Principal, Refusal> {
        match authorization {
            Authorization::None => {
                let (name, only_desk) = self.certified(connection, now)?;
                let roles = if only_desk {
                    let configured = self.settings.principals.of(name);
                    configured.only(|role| role == Role::OperatorCertificate)
                } else {
                    self.in_force.load().principals.of(name)
                };
                Ok(Principal {
                    name: name.clone(),
                    authentication: Authentication::Certificate,
                    roles,
                    attributes: None,
                    second_factor: None,
                })
            }
            Authorization::Bearer(_) => {
                let token = authorization.token().ok_or(Refusal::Form)?;
                let verified = self.in_force.load().tokens.verify(token, now)?;
                self.by_token(connection, &verified, now)
            }
            Authorization::Malformed => Err(Refusal::Form),
        }
    }

    /// A certificate beside a token must be as good as one alone, and either be the one that the token is bound to
    /// or name the same principal.
    fn by_token(
        &self,
        connection: &Connection,
        verified: &Verified,
        now: Timestamp,
    ) -> Result<Principal, Refusal> {
        let mut principal = verified.principal.clone();
        let Some(presented) = connection.presented() else {
            let bound = verified.certificate().is_some();
            return if bound {
                Err(Refusal::Binding)
            } else {
                Ok(principal)
            };
        };
        let (name, only_desk) = self.certified(connection, now)?;
        if only_desk {
            return Err(Refusal::Certificate);
        }
        match verified.certificate() {
            Some(bound) if bound == presented.sha256() => {}
            Some(_) => return Err(Refusal::Binding),
            None if *name == principal.name => {}
            None => return Err(Refusal::TwoNames),
        }
        principal.authentication = Authentication::CertificateAndToken;
        Ok(principal)
    }

    /// The name in the connection's certificate, if that is acceptable now; and whether it can do no more than let people
    /// in, because it is of an authority that nobody approved and those approved have expired.
    fn certified<'a>(
        &self,
        connection: &'a Connection,
        now: Timestamp,
    ) -> Result<(&'a PrincipalName, bool), Refusal> {
        let presented = connection.presented().ok_or(Refusal::Certificate)?;
        let name = presented.name().map_err(|_| Refusal::Certificate)?;
        if !presented.is_valid_at(now) {
            return Err(Refusal::Certificate);
        }
        let trust = self.trust.load();
        if !connection.is_verified(trust.generation, now, VERIFY_EVERY) {
            if trust.verify(presented.chain(), now).is_err() {
                let instead = trust.verify_instead(presented.chain(), now);
                return instead
                    .map(|()| (name, true))
                    .map_err(|_| Refusal::Certificate);
            }
            connection.set_verified(trust.generation, now);
        }
        Ok((name, false))
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
