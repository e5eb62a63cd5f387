//! A stream of calls: each message goes over the road by itself, several at once, and is answered in
//! the order in which it came. One bad message is its own answer; only what breaks the stream ends it.

use super::frame::{Message, Messages, frame};
use super::line::{Call, Line, Underway, success};
use super::reply::{Part, Reply};
use super::status::{ok_trailers, refusal_headers};
use crate::call::road::Road;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Body;
use kms_core::engine::view::Refusal;
use kms_core::name::CallId;
use kms_core::reason::Reason;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Answers that wait for a slow reader, beyond what HTTP/2 buffers.
const WAITING: usize = 4;

const STOPPING: &str = "the service stopped during the stream";

/// One message on its way; given up when the stream is.
struct Travelling {
    id: CallId,
    task: JoinHandle<Result<Bytes, Refusal>>,
}

impl Drop for Travelling {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers at once; the messages are read by a task that ends with the stream.
pub(super) fn open<R, B>(
    underway: Underway<R>,
    call: Call,
    timeout: Option<Duration>,
    request: Request<B>,
) -> Response<Reply>
where
    R: Road,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    let (parts, receiver) = mpsc::channel(WAITING);
    let shared = &underway.line().worker.shared;
    // without a timeout of its own a stream may last; each of its calls may not
    let until = timeout.map_or(Duration::MAX, |timeout| {
        shared.clock.monotonic().saturating_add(timeout)
    });
    let messages = underway
        .line()
        .messages(request.into_body(), &call.authorization);
    let id = call.id;
    let stream = Calls {
        underway,
        first: Some(call.clone()),
        template: call,
        until,
        messages,
        travelling: VecDeque::new(),
        reading: true,
    };
    tokio::task::spawn_local(stream.run(parts));
    success(id, Reply::Stream(receiver))
}

struct Calls<R: Road, B> {
    underway: Underway<R>,
    // its id stands in the headers already
    first: Option<Call>,
    template: Call,
    until: Duration,
    messages: Messages<B>,
    travelling: VecDeque<Travelling>,
    reading: bool,
}

impl<R: Road, B: Body<Data = Bytes> + Unpin> Calls<R, B> {
    async fn run(mut self, parts: mpsc::Sender<Part>) {
        tokio::select! {
            biased;
            trailers = self.pass(&parts) => {
                // the reader may be gone: then nobody is there to be told
                let _ = parts.send(Part::End(trailers)).await;
            }
            () = parts.closed() => {}
        }
    }

    /// Passes messages on until the stream ends; answers how it ended.
    async fn pass(&mut self, parts: &mpsc::Sender<Part>) -> HeaderMap {
        let line = Rc::clone(self.underway.line());
        let shared = std::sync::Arc::clone(&line.worker.shared);
        let mut ending = shared.ending.subscribe();
        let mut over = shared.clock.wait_until(self.until);
        loop {
            if !self.reading && self.travelling.is_empty() {
                if *ending.borrow() {
                    return self.end(&line, Reason::ShuttingDown, STOPPING).await;
                }
                return ok_trailers();
            }
            let room = self.travelling.len() < shared.limits.calls_per_stream;
            tokio::select! {
                biased;
                (id, result) = front(&mut self.travelling) => match result {
                    Ok(reply) => {
                        if parts.send(Part::Message(frame(&reply))).await.is_err() {
                            return ok_trailers();
                        }
                    }
                    Err(refusal) => return refusal_headers(id, &refusal),
                },
                () = &mut over => return self.end(&line, Reason::DeadlineExceeded, "the stream's deadline passed").await,
                _ = ending.wait_for(|ending| *ending), if self.reading => self.reading = false,
                next = self.messages.next(), if room && self.reading => match next {
                    Ok(Some(message)) => {
                        if let Err((reason, note)) = self.start(&line, message) {
                            return self.end(&line, reason, note).await;
                        }
                    }
                    Ok(None) => self.reading = false,
                    Err(broken) => return self.end(&line, broken.reason(), broken.note()).await,
                },
            }
        }
    }

    fn start(
        &mut self,
        line: &Rc<Line<R>>,
        message: Message,
    ) -> Result<(), (Reason, &'static str)> {
        let call = self.next_call(line);
        let method = call
            .method
            .ok_or((Reason::Unimplemented, "no such method"))?;
        let underway = line
            .enter()
            .ok_or((Reason::ResourceExhausted, "too many calls are under way"))?;
        let shared = &line.worker.shared;
        let deadline = shared
            .clock
            .monotonic()
            .saturating_add(shared.limits.deadline_max)
            .min(self.until);
        let id = call.id;
        let task = tokio::task::spawn_local(async move {
            underway
                .line()
                .travel(&call, method, deadline, message)
                .await
        });
        self.travelling.push_back(Travelling { id, task });
        Ok(())
    }

    async fn end(&mut self, line: &Rc<Line<R>>, reason: Reason, note: &'static str) -> HeaderMap {
        let call = self.next_call(line);
        line.record(&call, reason, note).await;
        refusal_headers(call.id, &reason.into())
    }

    fn next_call(&mut self, line: &Rc<Line<R>>) -> Call {
        self.first.take().unwrap_or_else(|| Call {
            id: line.next_id(),
            ..self.template.clone()
        })
    }
}

/// The end of the oldest message's travel; never ends while there is none.
async fn front(travelling: &mut VecDeque<Travelling>) -> (CallId, Result<Bytes, Refusal>) {
    let Some(oldest) = travelling.front_mut() else {
        return std::future::pending().await;
    };
    let id = oldest.id;
    let result = (&mut oldest.task)
        .await
        .unwrap_or_else(|_| Err(Reason::Internal.into()));
    travelling.pop_front();
    (id, result)
}
