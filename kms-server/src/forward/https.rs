//! HTTPS: a batch of CloudEvents (JSON batch format, 1.0) by POST. What is answered with 2xx was taken; everything else
//! comes again.

use super::Event;
use crate::system::clock::Clock;
use crate::system::outgoing::{Outgoing, Question};
use crate::system::private_file;
use http::{HeaderMap, HeaderValue, Method, header};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most that is read of an answer; nothing of it is used.
const ANSWER_MAX: usize = 64 * 1024;
const BATCH: HeaderValue = HeaderValue::from_static("application/cloudevents-batch+json");

#[derive(Debug)]
pub(super) struct Https {
    outgoing: Outgoing,
    /// Read for each batch, so that it can be exchanged.
    authorization: Option<PathBuf>,
}

impl Https {
    pub(super) fn new(
        url: &str,
        ca: &Path,
        authorization: Option<&Path>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, String> {
        Ok(Self {
            outgoing: Outgoing::secure(url, ca, clock, ANSWER_MAX)?,
            authorization: authorization.map(Path::to_owned),
        })
    }

    pub(super) async fn send(&self, events: &[Event], clock: &dyn Clock) -> Result<(), String> {
        let events: Vec<&str> = events.iter().map(|event| &*event.json).collect();
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, BATCH);
        if let Some(path) = &self.authorization {
            headers.insert(header::AUTHORIZATION, authorization(path)?);
        }
        let answer = self.outgoing.ask(
            Question {
                method: Method::POST,
                path: "",
                accept: HeaderValue::from_static("*/*"),
                headers,
                body: format!("[{}]", events.join(",")).into_bytes(),
            },
            clock,
        );
        let status = answer.await?.status;
        if status.is_success() {
            return Ok(());
        }
        Err(format!("it answers {status}"))
    }
}

/// The header's value, as the file has it; marked so that nothing prints it.
fn authorization(path: &Path) -> Result<HeaderValue, String> {
    let unusable = || "the file of its authorization cannot be used".to_owned();
    let secret = private_file::read_secret(path).map_err(|_| unusable())?;
    let mut value = HeaderValue::from_bytes(secret.trim_ascii()).map_err(|_| unusable())?;
    value.set_sensitive(true);
    Ok(value)
}
