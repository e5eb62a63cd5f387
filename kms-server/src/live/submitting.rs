//! A change that was handed in, for whoever waits for its end or goes away before it.

use super::publisher::Publisher;
use super::tasks::Tasks;
use crate::audit_log::{AuditLog, Submission};
use crate::store::{ChangeError, Published};
use kms_core::name::CallId;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::oneshot;

/// Ready when the change is committed, logged and visible, or is not. Dropping it cancels nothing; whoever drops one
/// with entries says so with [`Submitting::see_out`].
#[derive(Debug)]
#[must_use = "only its end tells whether the change took effect"]
pub struct Submitting {
    pub(super) id: CallId,
    pub(super) end: oneshot::Receiver<Result<Published, ChangeError>>,
    pub(super) publisher: Arc<Publisher>,
    pub(super) tasks: Arc<Tasks>,
}

impl Future for Submitting {
    type Output = Result<Published, ChangeError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let end = std::task::ready!(Pin::new(&mut self.end).poll(context));
        let end = end.unwrap_or(Err(ChangeError::Unknown));
        if end.is_err() {
            self.publisher.forget(self.id);
        }
        Poll::Ready(end)
    }
}

impl Submitting {
    /// Nobody waits any more. Should the change not take effect, `entry` is the only one of its call, and appended;
    /// else the change brings its own.
    pub fn see_out(self, audit: AuditLog, entry: Option<Submission>) {
        let tasks = Arc::clone(&self.tasks);
        tasks.spawn(async move {
            let brings_its_own = matches!(self.await, Ok(_) | Err(ChangeError::Unknown));
            if let Some(entry) = entry.filter(|_| !brings_its_own) {
                // a log that cannot be written refuses it, as it does every call
                let _ = audit.append(entry).await;
            }
        });
    }
}
