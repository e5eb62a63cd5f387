//! Notices to a web server: one POST of JSON each, over TLS 1.3 to the configured authority's server, under a bearer token
//! from a file. Tried again a few times, then given up: it must never hold anything else up.

use crate::config::WebhookSettings;
use crate::system::clock::Clock;
use crate::system::outgoing::{Outgoing, Question};
use crate::system::private_file;
use http::{HeaderMap, HeaderValue, Method, header};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// What is read of an answer: nothing in it matters but the status.
const ANSWER_MAX: usize = 16 * 1024;
/// Pauses between the tries.
const PAUSES: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
];

/// See the module.
pub struct Webhook {
    address: Outgoing,
    bearer_file: PathBuf,
    clock: Arc<dyn Clock>,
}

impl Webhook {
    /// As configured; nothing is sent yet.
    ///
    /// # Errors
    /// What is wrong with the address, the authority's file or the token's.
    pub fn new(settings: &WebhookSettings, clock: &Arc<dyn Clock>) -> Result<Self, String> {
        let webhook = Self {
            address: Outgoing::secure(&settings.url, &settings.ca, clock, ANSWER_MAX)?,
            bearer_file: settings.bearer_file.clone(),
            clock: Arc::clone(clock),
        };
        webhook.authorization()?;
        Ok(webhook)
    }

    /// Read each time, so that a token is exchanged without a restart.
    fn authorization(&self) -> Result<HeaderValue, String> {
        let unusable = |why: &str| format!("{}: {why}", self.bearer_file.display());
        let bytes = private_file::read_secret(&self.bearer_file);
        let bytes = bytes.map_err(|error| unusable(&error.to_string()))?;
        let token = bytes.trim_ascii();
        if token.is_empty() {
            return Err(unusable("holds no token"));
        }
        let text = Zeroizing::new([b"Bearer ", token].concat());
        let mut value = HeaderValue::from_bytes(&text).map_err(|_| unusable("is no token"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    async fn post(&self, text: &str) -> Result<(), String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, self.authorization()?);
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        let question = Question {
            method: Method::POST,
            path: "",
            accept: HeaderValue::from_static("*/*"),
            body: text.as_bytes().to_vec(),
            headers,
        };
        let answer = self.address.ask(question, &*self.clock).await?;
        if answer.status.is_success() {
            return Ok(());
        }
        Err(format!("the answer is {}", answer.status))
    }

    /// Tells; `false` when every try failed.
    pub(super) async fn tell(&self, text: &str) -> bool {
        let mut pauses = PAUSES.iter();
        loop {
            let problem = match self.post(text).await {
                Ok(()) => return true,
                Err(problem) => problem,
            };
            tracing::warn!(problem, "the webhook did not take a notice");
            let Some(pause) = pauses.next() else {
                return false;
            };
            let until = self.clock.monotonic().saturating_add(*pause);
            self.clock.wait_until(until).await;
        }
    }
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").finish_non_exhaustive()
    }
}
