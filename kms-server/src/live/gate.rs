//! Sealed or not: holds the unsealed service, makes it from a passphrase, forgets it. One unsealing at a time.

use super::Live;
use super::opening::{OpenError, Parts, open};
use crate::anchor::{Anchors, NotAnchored};
use crate::audit_log::AuditLog;
use crate::seal::attempts::Attempts;
use crate::seal::passphrase::Passphrase;
use crate::seal::{Keyring, UnsealError};
use crate::store::Store;
use crate::system::clock::Clock;
use arc_swap::ArcSwapOption;
use kms_core::cipher::signature::Fingerprint;
use kms_core::entropy::Entropy;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, watch};

/// What a gate works with.
pub struct GateParts {
    /// The sealed master keys.
    pub keyring: Arc<Keyring>,
    /// What the configuration expects of the instance key.
    pub fingerprint: Option<Fingerprint>,
    /// The engine.
    pub store: Arc<dyn Store>,
    /// The log.
    pub audit: AuditLog,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Who remembers the log's checkpoints.
    pub anchors: Arc<Anchors>,
    /// Bytes for cached shred secrets.
    pub cache_bytes: usize,
    /// The runtime that publishing lives on.
    pub home: Handle,
}

/// See the module.
pub struct Gate {
    live: ArcSwapOption<Live>,
    parts: GateParts,
    attempts: Attempts,
    /// Held while unsealing or sealing.
    changing: Mutex<()>,
    sealed: watch::Sender<bool>,
    /// What the anchors said at the last unseal, for an entry.
    anchored: std::sync::Mutex<Option<String>>,
}

/// Why it stays sealed.
#[derive(Debug, thiserror::Error)]
pub enum NotUnsealed {
    /// No seal opened.
    #[error(transparent)]
    Seal(#[from] UnsealError),
    /// The keyring is not that of the configured installation.
    #[error("the instance key's fingerprint is {0}, not the configured one")]
    OtherInstance(Fingerprint),
    /// The store does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Those outside who remember the log do not vouch for it.
    #[error(transparent)]
    NotAnchored(#[from] NotAnchored),
}

impl Gate {
    /// Sealed.
    #[must_use]
    pub fn new(parts: GateParts) -> Self {
        Self {
            live: ArcSwapOption::empty(),
            attempts: Attempts::new(Arc::clone(&parts.clock)),
            parts,
            changing: Mutex::default(),
            sealed: watch::Sender::new(true),
            anchored: std::sync::Mutex::default(),
        }
    }

    /// The unsealed service; `None` while sealed.
    #[must_use]
    pub fn live(&self) -> Option<Arc<Live>> {
        self.live.load_full()
    }

    /// Whether it is sealed, for whoever wants to hear of it.
    #[must_use]
    pub fn sealed(&self) -> watch::Receiver<bool> {
        self.sealed.subscribe()
    }

    /// The keyring.
    #[must_use]
    pub fn keyring(&self) -> &Keyring {
        &self.parts.keyring
    }

    /// Unseals; one that is unsealed already stays so, but the passphrase must be right all the same.
    ///
    /// # Errors
    /// [`NotUnsealed`].
    pub async fn unseal(&self, passphrase: Passphrase) -> Result<(), NotUnsealed> {
        let _one_at_a_time = self.changing.lock().await;
        let keyring = &self.parts.keyring;
        keyring
            .check_instance(self.parts.fingerprint)
            .map_err(NotUnsealed::OtherInstance)?;
        let unsealed = self
            .attempts
            .unseal(Arc::clone(keyring), passphrase)
            .await?;
        if self.live.load().is_some() {
            return Ok(());
        }
        let parts = Parts {
            store: Arc::clone(&self.parts.store),
            master: unsealed.master_keys,
            seals: keyring.public_halves(),
            instance: keyring.publics().instance.fingerprint(),
            audit: self.parts.audit.clone(),
            clock: Arc::clone(&self.parts.clock),
            entropy: Arc::clone(&self.parts.entropy),
            cache_bytes: self.parts.cache_bytes,
        };
        let opened = self.parts.home.spawn(open(parts)).await;
        let opened = opened.map_err(|error| OpenError::Audit(std::io::Error::other(error)))?;
        let live = opened?;
        if let Err(refused) = self.ask_anchors(&live).await {
            live.close().await;
            return Err(refused.into());
        }
        self.live.store(Some(live));
        self.sealed.send_replace(false);
        Ok(())
    }

    async fn ask_anchors(&self, live: &Live) -> Result<(), NotAnchored> {
        let anchors = &self.parts.anchors;
        let confirmed = anchors
            .confirm(&self.parts.audit, live.state.log_head().is_some())
            .await?;
        let (configured, needed) = (anchors.configured(), anchors.needed());
        *self.anchored() = match (configured, needed) {
            (0, _) => None,
            (_, 0) => Some("the anchors were not asked: audit.min_anchors is 0".to_owned()),
            _ => Some(format!(
                "{confirmed} of {configured} anchors vouch for the log, {needed} needed"
            )),
        };
        Ok(())
    }

    /// What the anchors said at the last unseal, told once.
    #[must_use]
    pub fn take_anchored(&self) -> Option<String> {
        self.anchored().take()
    }

    fn anchored(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        let held = self.anchored.lock();
        held.unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Those outside who remember the log.
    #[must_use]
    pub fn anchors(&self) -> &Anchors {
        &self.parts.anchors
    }

    /// Seals: new calls are refused from now on; ends when the calls before have ended and every key is
    /// forgotten. `false` when it was sealed already.
    pub async fn seal(&self) -> bool {
        let _one_at_a_time = self.changing.lock().await;
        let Some(live) = self.live.swap(None) else {
            return false;
        };
        self.sealed.send_replace(true);
        live.state.quarantine(&[]).wait().await;
        let audit = self.parts.audit.clone();
        // an error would say that signing panicked: the store keeps what it knows
        if let Ok(Some(signed)) = tokio::task::spawn_blocking(move || audit.sign_now()).await {
            live.store_log_head(&signed).await;
        }
        live.close().await;
        let audit = self.parts.audit.clone();
        // an error would say that signing panicked: the next unseal signs what is left
        let _ = tokio::task::spawn_blocking(move || audit.sign_off()).await;
        true
    }
}
