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
use kms_core::audit::ApprovalFacts;
use kms_core::cipher::signature::Fingerprint;
use kms_core::engine::View;
use kms_core::engine::approval::overriding::{Overriding, overrides};
use kms_core::entropy::Entropy;
use kms_core::reason::Reason;
use std::collections::HashMap;
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
    anchored: std::sync::Mutex<Option<Anchored>>,
    /// What an override of them begins with, while they keep it sealed.
    standoff: std::sync::Mutex<Option<String>>,
}

/// What the anchors said at unseal, and who overruled them.
#[derive(Debug, Clone)]
pub struct Anchored {
    /// In words.
    pub said: String,
    /// The signatures that overruled them.
    pub overridden: Option<ApprovalFacts>,
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
    /// They do not, and what was given does not overrule them.
    #[error("the anchors are not overruled: {0}")]
    NotOverridden(Reason),
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
            standoff: std::sync::Mutex::default(),
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
        self.unseal_against(passphrase, None).await
    }

    /// As [`Self::unseal`]; `overriding` is the approvers' word, should the anchors not vouch for the log. They are known
    /// once the store is open; nobody else is served by it before this is decided.
    ///
    /// # Errors
    /// [`NotUnsealed`].
    pub async fn unseal_against(
        &self,
        passphrase: Passphrase,
        overriding: Option<Overriding<'_>>,
    ) -> Result<(), NotUnsealed> {
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
        if let Err(refused) = self.ask_anchors(&live, overriding).await {
            live.close().await;
            return Err(refused);
        }
        self.live.store(Some(live));
        self.sealed.send_replace(false);
        Ok(())
    }

    /// Whether `passphrase` would unseal. Opens nothing, whatever is sealed meanwhile; a guess costs as one at unsealing.
    ///
    /// # Errors
    /// [`UnsealError`].
    pub async fn check(&self, passphrase: Passphrase) -> Result<(), UnsealError> {
        let keyring = Arc::clone(&self.parts.keyring);
        self.attempts.unseal(keyring, passphrase).await.map(drop)
    }

    async fn ask_anchors(
        &self,
        live: &Live,
        overriding: Option<Overriding<'_>>,
    ) -> Result<(), NotUnsealed> {
        let anchors = &self.parts.anchors;
        let was_signed = live.state.log_head().is_some();
        let confirmed = anchors.confirm(&self.parts.audit, was_signed).await;
        let (configured, needed) = (anchors.configured(), anchors.needed());
        let anchored = match confirmed {
            Err(refused) => Some(self.overrule(live, refused, overriding)?),
            Ok(_) if configured == 0 => None,
            Ok(_) if needed == 0 => {
                Some("the anchors were not asked: audit.min_anchors is 0".into())
            }
            Ok(confirmed) => Some(
                format!("{confirmed} of {configured} anchors vouch for the log, {needed} needed")
                    .into(),
            ),
        };
        *lock(&self.anchored) = anchored;
        *lock(&self.standoff) = None;
        Ok(())
    }

    fn overrule(
        &self,
        live: &Live,
        refused: NotAnchored,
        overriding: Option<Overriding<'_>>,
    ) -> Result<Anchored, NotUnsealed> {
        let origin = self.parts.audit.origin();
        let instance = live.keys.instance.public().fingerprint();
        let standoff = self.parts.anchors.standoff(origin, instance);
        lock(&self.standoff).clone_from(&standoff);
        let (Some(given), Some(standoff)) = (overriding, standoff) else {
            return Err(refused.into());
        };
        let held = live.state.hold();
        let view = View {
            snapshot: &held.snapshot,
            by_scope: &HashMap::new(),
            by_id: &HashMap::new(),
            index: &live.keys.index,
            time_mark: live.state.time_mark().0,
        };
        let overridden = overrides(&view, self.parts.clock.now(), &standoff, given);
        let overridden = overridden.map_err(NotUnsealed::NotOverridden)?;
        let reason = overridden.reason.as_str();
        tracing::warn!(%refused, reason, "the anchors are overruled by approvers");
        Ok(Anchored {
            said: format!("overruled by approvers: {reason}; {refused}"),
            overridden: Some(overridden.facts),
        })
    }

    /// What an override begins with, while anchors keep it sealed.
    #[must_use]
    pub fn standoff(&self) -> Option<String> {
        lock(&self.standoff).clone()
    }

    /// What the anchors said at the last unseal, until that is logged.
    #[must_use]
    pub fn anchored(&self) -> Option<Anchored> {
        lock(&self.anchored).clone()
    }

    /// It is logged.
    pub fn anchored_is_logged(&self) {
        *lock(&self.anchored) = None;
    }

    /// Those outside who remember the log.
    #[must_use]
    pub fn anchors(&self) -> &Anchors {
        &self.parts.anchors
    }

    /// Seals: new calls are refused from now on; ends when the calls before have ended and every key is
    /// forgotten, whether the log can be written or not. `false` when it was sealed already.
    pub async fn seal(self: &Arc<Self>) -> bool {
        let gate = Arc::clone(self);
        // a task of its own: begun is done, also when who asked is gone
        let end = self.parts.home.spawn(async move { gate.close().await });
        // an error would say that it panicked
        end.await.unwrap_or(false)
    }

    async fn close(&self) -> bool {
        let _one_at_a_time = self.changing.lock().await;
        let Some(live) = self.live.swap(None) else {
            return false;
        };
        self.sealed.send_replace(true);
        live.begin_closing();
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

impl From<String> for Anchored {
    fn from(said: String) -> Self {
        Self {
            said,
            overridden: None,
        }
    }
}

impl From<&str> for Anchored {
    fn from(said: &str) -> Self {
        said.to_owned().into()
    }
}

fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
