//! One issuer at work: its keys as last seen, when they are fetched again, and whom its tokens name. Without its
//! keys it knows nobody; an issuer that cannot be reached goes on with the keys it gave last.

use super::Refusal;
use super::claims::{Terms, text};
use super::compact::Compact;
use super::json::Json;
use super::key_set::{KeySet, SET_MAX};
use crate::config::issuer::{Grant, Issuer as Settings, KeySource};
use crate::identity::trust::{BadFile, bad};
use crate::system::clock::Clock;
use crate::system::outgoing::{Outgoing, Question};
use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use kms_core::policy::{Authentication, Principal, Roles};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// An unknown key id makes for a fetch at most this often.
pub const FETCH_EVERY: Duration = Duration::from_secs(30);
/// Keys are fetched this often without being asked for: so a key that the issuer drops ends.
const REFRESH_EVERY: Duration = Duration::from_secs(300);
/// A call with an unknown key id waits this long for the fetch that it made for.
const WAIT: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Issuer {
    pub(super) settings: Settings,
    source: Source,
    keys: ArcSwap<Keys>,
    wanted: Notify,
    // when the last try ended, on the monotonic clock; none at first
    tried: watch::Sender<Option<Duration>>,
    // what was last wrong: said once
    complaint: Mutex<String>,
}

/// Keys, and a number that grows whenever they change.
#[derive(Default)]
pub(super) struct Keys {
    pub(super) generation: u64,
    set: KeySet,
}

enum Source {
    File(PathBuf),
    Https(Outgoing),
}

impl Issuer {
    /// A file is read now; what HTTPS gives comes later.
    pub(super) fn new(settings: Settings, clock: &Arc<dyn Clock>) -> Result<Self, BadFile> {
        let mut keys = Keys::default();
        let source = match &settings.keys {
            KeySource::File(path) => {
                let wrong = |why: String| bad("key set", path, why);
                keys.set = read(path.clone()).map_err(wrong)?;
                keys.generation = 1;
                if keys.set.is_empty() {
                    return Err(wrong("it holds no key that verifies".to_owned()));
                }
                Source::File(path.clone())
            }
            KeySource::Https { url, ca } => {
                let address = Outgoing::secure(url, ca, clock, SET_MAX);
                let wrong = |why: String| bad("authority for key sets", ca, why);
                Source::Https(address.map_err(wrong)?)
            }
        };
        Ok(Self {
            settings,
            source,
            keys: ArcSwap::from_pointee(keys),
            wanted: Notify::new(),
            tried: watch::Sender::new(None),
            complaint: Mutex::default(),
        })
    }

    /// Verifies the signature, then the claims; then says which grant the token has.
    pub(super) fn verify(&self, token: &Compact<'_>) -> Result<(u64, Terms, &Grant), Refusal> {
        if !self.settings.algorithms.contains(&token.algorithm) {
            return Err(Refusal::Algorithm);
        }
        let keys = self.keys.load();
        let Some(key) = keys.set.find(&token.kid, token.algorithm) else {
            return Err(if keys.set.knows(&token.kid) {
                Refusal::Algorithm
            } else {
                Refusal::UnknownKey
            });
        };
        key.verify(token.algorithm, token.signed, &token.signature)
            .map_err(|_| Refusal::Signature)?;
        let terms = Terms::read(&token.claims, &self.settings)?;
        let grant = self.grant(&token.claims)?;
        Ok((keys.generation, terms, grant))
    }

    pub(super) fn generation(&self) -> u64 {
        self.keys.load().generation
    }

    /// The grants that fit must all name one principal with the same rights; else nobody can say whom it names.
    fn grant(&self, claims: &Json) -> Result<&Grant, Refusal> {
        let scope = match claims.get("scope") {
            None => "",
            Some(scope) => scope.text().ok_or(Refusal::Claims)?,
        };
        let subject = text(claims, "sub")?;
        let fits = |grant: &&Grant| {
            grant
                .subject
                .as_ref()
                .is_none_or(|wanted| wanted == subject)
                && grant
                    .scopes
                    .iter()
                    .all(|wanted| scope.split(' ').any(|word| word == wanted))
                && grant
                    .claims
                    .iter()
                    .all(|(name, wanted)| text(claims, name).is_ok_and(|found| found == wanted))
        };
        let mut grants = self.settings.grants.iter().filter(fits);
        match (grants.next(), grants.next()) {
            (Some(grant), None) => Ok(grant),
            _ => Err(Refusal::Nobody),
        }
    }

    /// Has the keys fetched because one is unknown, unless that was done a moment ago, and waits for it. Whether
    /// there may be other keys now.
    pub(super) async fn refreshed(&self, clock: &dyn Clock) -> bool {
        let mut tried = self.tried.subscribe();
        let now = clock.monotonic();
        if tried
            .borrow()
            .is_some_and(|at| now < at.saturating_add(FETCH_EVERY))
        {
            return false;
        }
        self.wanted.notify_one();
        tokio::select! {
            changed = tried.changed() => changed.is_ok(),
            () = clock.wait_until(now.saturating_add(WAIT)) => false,
        }
    }

    /// Keeps the keys fresh; never ends.
    pub(super) async fn keep_fresh(&self, clock: &dyn Clock) {
        let every = match self.source {
            Source::File(_) => crate::identity::POLL_EVERY,
            Source::Https(_) => REFRESH_EVERY,
        };
        loop {
            self.refresh(clock).await;
            let ended = clock.monotonic();
            self.tried.send_replace(Some(ended));
            tokio::select! {
                () = clock.wait_until(ended.saturating_add(every)) => {}
                () = async {
                    self.wanted.notified().await;
                    clock.wait_until(ended.saturating_add(FETCH_EVERY)).await;
                } => {}
            }
        }
    }

    /// Reads or fetches the keys once. What cannot be had or read changes nothing.
    pub(super) async fn refresh(&self, clock: &dyn Clock) {
        let fetched = match &self.source {
            Source::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || read(path)).await;
                read.unwrap_or_else(|error| Err(error.to_string()))
            }
            Source::Https(address) => match fetch(address, clock).await {
                Ok(bytes) => KeySet::parse(&bytes).map_err(str::to_owned),
                Err(error) => Err(error),
            },
        };
        match fetched {
            Ok(set) => {
                self.complain(String::new());
                self.take(set);
            }
            Err(error) => self.complain(error),
        }
    }

    fn complain(&self, error: String) {
        let mut last = self
            .complaint
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if *last != error && !error.is_empty() {
            let issuer = self.settings.name.as_str();
            tracing::warn!(issuer, %error, "no key set; the former keys stay in use");
        }
        *last = error;
    }

    fn take(&self, set: KeySet) {
        let former = self.keys.load();
        if former.set == set {
            return;
        }
        let generation = former.generation.saturating_add(1);
        let (issuer, left_out) = (self.settings.name.as_str(), set.left_out);
        tracing::info!(issuer, generation, left_out, "the issuer's keys changed");
        self.keys.store(Arc::new(Keys { generation, set }));
    }
}

/// Whom a token with this grant names.
pub(super) fn principal(grant: &Grant, claims: &Json) -> Result<Principal, Refusal> {
    let attribute = |(name, claim): (&String, &String)| {
        let value = text(claims, claim)?;
        Ok::<(Box<str>, Box<str>), Refusal>((name.as_str().into(), value.into()))
    };
    let attributes = grant.attributes.iter().map(attribute);
    let attributes: BTreeMap<_, _> = attributes.collect::<Result<_, _>>()?;
    Ok(Principal {
        name: grant.principal.clone(),
        authentication: Authentication::Token,
        roles: Roles::of(&grant.roles),
        attributes: (!attributes.is_empty()).then(|| Arc::new(attributes)),
        second_factor: None,
    })
}

async fn fetch(address: &Outgoing, clock: &dyn Clock) -> Result<Vec<u8>, String> {
    let question = Question {
        method: Method::GET,
        path: "",
        accept: HeaderValue::from_static("application/jwk-set+json, application/json"),
        body: Vec::new(),
        headers: HeaderMap::new(),
    };
    let answer = address.ask(question, clock).await?;
    if answer.status != StatusCode::OK {
        return Err(format!("the answer is {}, not 200", answer.status));
    }
    Ok(answer.body)
}

fn read(path: PathBuf) -> Result<KeySet, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    let most = u64::try_from(SET_MAX + 1).unwrap_or(u64::MAX);
    file.take(most)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    KeySet::parse(&bytes).map_err(str::to_owned)
}
