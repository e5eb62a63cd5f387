//! Whose certificates and tokens count: what the configuration says, or, where people approved something else, that. The
//! daemon's files alone put nobody into anybody's place.

use super::token::Tokens;
use super::trust::{Contents, Trust, bad};
use super::{BadFile, Connection, Files, Identity, Settings};
use crate::system::clock::Clock;
use kms_core::key::record::TrustRecord;
use kms_core::policy::{Role, RoleTable};
use kms_core::time::Timestamp;
use std::sync::{Arc, PoisonError};

/// One state of it.
pub(super) struct InForce {
    /// Certificates to roles.
    pub(super) principals: RoleTable,
    /// Issuers, and what was verified lately.
    pub(super) tokens: Tokens,
    /// What was approved, where that is other than what is configured; with its authorities, PEM.
    instead: Option<(Arc<TrustRecord>, String)>,
}

/// As the configuration says.
pub(super) fn configured(settings: &Settings, clock: &Arc<dyn Clock>) -> Result<InForce, BadFile> {
    Ok(InForce {
        principals: settings.principals.clone(),
        tokens: Tokens::new(settings.issuers.clone(), clock)?,
        instead: None,
    })
}

impl Settings {
    /// What people approve.
    pub(super) fn document(&self, files: &Files, contents: &Contents) -> Result<String, BadFile> {
        let client_ca = contents.client_ca();
        let client_ca = client_ca.map_err(|it| bad("client authority", &files.client_ca, it))?;
        Ok(self.trust.document(client_ca))
    }
}

impl Identity {
    /// What the configuration says now, as people approve it.
    #[must_use]
    pub fn document(&self) -> Arc<String> {
        self.document.load_full()
    }

    /// Whether the configuration says that this is a development installation.
    #[must_use]
    pub const fn development(&self) -> bool {
        self.settings.trust.development()
    }

    /// Whether `approved` leaves the configuration in force.
    #[must_use]
    pub fn is_approved(&self, approved: &TrustRecord) -> bool {
        let develops = approved.development && self.development();
        develops || *approved.document == **self.document.load()
    }

    /// Whether what is configured would let people in over this connection; `by_record`: the built-in authority made its
    /// certificate, so no table names it.
    #[must_use]
    pub fn would_let_in(&self, connection: &Connection, by_record: bool, now: Timestamp) -> bool {
        let Some(presented) = connection.presented() else {
            return false;
        };
        let accepted = self.trust.load().verify_configured(presented.chain(), now);
        let named = presented.name().is_ok_and(|name| {
            let roles = self.settings.principals.of(name);
            by_record || roles.contains(Role::OperatorCertificate)
        });
        accepted.is_ok() && named
    }

    /// From now on what was approved counts, whatever the files say. Asked before each call; cheap while nothing changed.
    pub fn enforce(&self, approved: Option<&Arc<TrustRecord>>) {
        let Some(approved) = approved else {
            return;
        };
        let is_seen = || {
            self.approved
                .load()
                .as_ref()
                .is_some_and(|it| Arc::ptr_eq(it, approved))
        };
        if is_seen() {
            return;
        }
        // held until the exchange is over, so that it is made once
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        if is_seen() {
            return;
        }
        self.approved.store(Some(Arc::clone(approved)));
        let exchanged = Contents::read(&self.files).and_then(|contents| {
            *tried = contents.fingerprint();
            let document = self.settings.document(&self.files, &contents)?;
            self.exchange(&contents, document)
        });
        if let Err(error) = exchanged {
            tracing::error!(%error, "what was approved cannot be put into force; what was goes on");
        }
    }

    fn as_approved(&self, approved: &Arc<TrustRecord>) -> Result<InForce, BadFile> {
        tracing::error!(
            "the configured authorities, principals and issuers are not those approved: the approved ones stay in force \
             until `kms config approve`"
        );
        let read = self.settings.trust.read(&approved.document);
        let read = read.map_err(|it| bad("approved document", &self.files.client_ca, it))?;
        Ok(InForce {
            principals: read.principals,
            tokens: Tokens::new(read.issuers, &self.clock)?,
            instead: Some((Arc::clone(approved), read.client_ca)),
        })
    }

    /// Takes files and approval over together.
    pub(super) fn exchange(&self, contents: &Contents, document: String) -> Result<(), BadFile> {
        self.document.store(Arc::new(document));
        let approved = self.approved.load_full();
        let instead = approved.filter(|approved| !self.is_approved(approved));
        let before = self.in_force.load_full();
        // issuers that stay keep the keys that they gave
        let in_force = match (&instead, &before.instead) {
            (None, None) => before,
            (Some(now), Some((then, _))) if Arc::ptr_eq(now, then) => before,
            (None, Some(_)) => Arc::new(configured(&self.settings, &self.clock)?),
            (Some(approved), _) => Arc::new(self.as_approved(approved)?),
        };
        let generation = self.generation().saturating_add(1);
        let client_ca = in_force.instead.as_ref().map(|(_, pem)| pem.as_str());
        let demand = (self.demand, client_ca);
        let trust = Trust::new(generation, &self.files, contents, demand, &self.clock)?;
        self.trust.store(Arc::new(trust));
        self.in_force.store(in_force);
        self.exchanged.notify_one();
        Ok(())
    }
}
