//! Tells people what they should hear of without asking: hands one line of JSON to the configured program, and posts it to
//! the configured web server. Never waited for by a call, and never a reason to refuse one; what could not be told is
//! an alarm.

pub mod webhook;

use super::synchronised::ends_within;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use webhook::Webhook;

/// A program that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(10);
/// Notices that wait for their turn.
const WAITING_MAX: usize = 256;

/// Where notices go, one after the other on each way.
#[derive(Debug, Clone)]
pub struct Notices {
    command: Option<Vec<String>>,
    webhook: Option<Arc<Webhook>>,
    turn: Arc<Semaphore>,
    posting: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

impl Notices {
    /// To `command`, absolute program and arguments, and to `webhook`; without either they stand in the daemon's own
    /// messages only.
    #[must_use]
    pub fn new(command: Option<Vec<String>>, webhook: Option<Webhook>) -> Self {
        Self {
            command,
            webhook: webhook.map(Arc::new),
            turn: Arc::new(Semaphore::new(1)),
            posting: Arc::new(Semaphore::new(1)),
            waiting: Arc::default(),
        }
    }

    /// Tells; `false` when it could not be told on each way that is configured. `text` is one line.
    pub async fn tell(&self, text: String) -> bool {
        tracing::warn!(notice = text, "to be heard of");
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let told = before < WAITING_MAX && {
            let (ran, posted) = tokio::join!(self.run(text.clone()), self.post(&text));
            ran && posted
        };
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        told
    }

    async fn post(&self, text: &str) -> bool {
        let Some(webhook) = &self.webhook else {
            return true;
        };
        match self.posting.acquire().await {
            Ok(_turn) => webhook.tell(text).await,
            Err(_) => false,
        }
    }

    async fn run(&self, text: String) -> bool {
        let Some(command) = self.command.clone() else {
            return true;
        };
        let Ok(_turn) = self.turn.acquire().await else {
            return false;
        };
        let told = tokio::task::spawn_blocking(move || hand_over(&command, &text));
        told.await.unwrap_or(false)
    }
}

fn hand_over(words: &[String], text: &str) -> bool {
    let Some((program, arguments)) = words.split_first() else {
        return false;
    };
    let started = Command::new(program)
        .args(arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = started else {
        return false;
    };
    // a line fits into a pipe: who does not read it blocks nothing
    let written = child
        .stdin
        .take()
        .map(|mut input| writeln!(input, "{text}"));
    ends_within(child, PATIENCE) && written.is_some_and(|it| it.is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_program_gets_the_line_and_its_failure_is_known() {
        let place = tempfile::tempdir().unwrap();
        let heard = place.path().join("heard");
        let script = format!("/bin/cat > {}", heard.display());
        let words = |script: &str| Some(["/bin/sh", "-c", script].map(str::to_owned).to_vec());
        let notices = Notices::new(words(&script), None);
        assert!(notices.tell("{\"event\":\"test\"}".to_owned()).await);
        assert_eq!(
            std::fs::read_to_string(heard).unwrap(),
            "{\"event\":\"test\"}\n"
        );
        assert!(
            !Notices::new(words("exit 1"), None)
                .tell(String::new())
                .await
        );
        let missing = Some(vec!["/no/such/program".to_owned()]);
        assert!(!Notices::new(missing, None).tell(String::new()).await);
        assert!(Notices::new(None, None).tell(String::new()).await);
    }
}
