//! From a request to its answer: one connection's calls, read top to bottom in [`Line::answer`].
//! Never decodes a message: what arrived whole and in form goes to the road as bytes.

use super::deadline::{Ended, within};
use super::frame::{Broken, Message, Messages, frame};
use super::gauge::Permit;
use super::head::{self, Dialect};
use super::reply::Reply;
use super::runtime::Worker;
use super::status::{refusal_headers, request_id_value};
use super::{health, method, stream, web};
use crate::call::road::{Credentials, Early, Incoming, Method, Road};
use crate::identity::{Authorization, Connection};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body::Body;
use kms_core::engine::view::Refusal;
use kms_core::name::{ApprovalId, CallId};
use kms_core::reason::Reason;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// The calls of one connection.
pub(super) struct Line<R: Road> {
    pub(super) worker: Rc<Worker<R>>,
    pub(super) connection: Arc<Connection>,
    pub(super) activity: Rc<Activity>,
}

/// What tells an idle connection from a busy one.
#[derive(Debug, Default)]
pub(super) struct Activity {
    calls: Cell<usize>,
    // monotonic: when the last call ended
    since: Cell<Duration>,
}

/// A call under way.
pub(super) struct Underway<R: Road> {
    line: Rc<Line<R>>,
    _permit: Permit,
}

/// One call, once its head was read.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) id: CallId,
    pub(super) method: Option<&'static Method>,
    pub(super) trace_id: Option<[u8; 16]>,
    pub(super) authorization: Authorization,
    pub(super) credentials: Option<Rc<Given>>,
}

/// What the head says of the caller; a code in it is good for one message.
pub(super) struct Given {
    session: Option<[u8; 32]>,
    code: Cell<Option<Zeroizing<String>>>,
    approval: Option<ApprovalId>,
    enrolment: Cell<Option<Zeroizing<String>>>,
}

impl Given {
    fn read(headers: &HeaderMap) -> Option<Rc<Self>> {
        let credentials = head::credentials(headers)?;
        Some(Rc::new(Self {
            session: credentials.session,
            code: Cell::new(credentials.code),
            approval: credentials.approval,
            enrolment: Cell::new(credentials.enrolment),
        }))
    }

    fn next(&self) -> Box<Credentials> {
        Box::new(Credentials {
            session: self.session,
            code: self.code.take(),
            approval: self.approval,
            enrolment: self.enrolment.take(),
        })
    }
}

impl<R: Road> Line<R> {
    /// The answer to one request.
    pub(super) async fn answer<B>(self: Rc<Self>, request: Request<B>) -> Response<Reply>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<tonic::codegen::StdError> + std::fmt::Display,
    {
        let allowed = web::allows(&self.worker.shared.origins, request.headers());
        match head::dialect(request.headers()) {
            _ if !allowed => self.turn_away(StatusCode::FORBIDDEN, web::NOT_LISTED).await,
            _ if web::is_preflight(&request) => web::preflight(&request),
            _ if request.method() != http::Method::POST => {
                let note = "the request is no POST";
                self.turn_away(StatusCode::METHOD_NOT_ALLOWED, note).await
            }
            Dialect::Grpc if request.version() == http::Version::HTTP_2 => self.call(request).await,
            Dialect::Web => web::answer(self, request).await,
            Dialect::Grpc | Dialect::Other => {
                let note = "the content type is not gRPC's";
                self.turn_away(StatusCode::UNSUPPORTED_MEDIA_TYPE, note)
                    .await
            }
        }
    }

    /// The answer to a gRPC request; gRPC-Web ones come here once they are translated.
    pub(super) async fn call<B>(self: Rc<Self>, request: Request<B>) -> Response<Reply>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
    {
        let headers = request.headers();
        let path = request.uri().path();
        let call = Call {
            id: self.next_id(),
            method: method::find(path),
            trace_id: head::trace_id(headers),
            authorization: Authorization::read(headers),
            credentials: Given::read(headers),
        };
        let Some(underway) = self.enter() else {
            let note = "too many calls are under way";
            return self.refuse(call, Reason::ResourceExhausted, note).await;
        };
        let form = self.form(headers);
        if let Err((reason, note)) = form {
            return self.refuse(call, reason, note).await;
        }
        let Ok(timeout) = head::timeout(headers) else {
            let note = "grpc-timeout is not in its form";
            return self.refuse(call, Reason::InvalidArgument, note).await;
        };
        match call.method {
            Some(method) if method.streaming => stream::open(underway, call, timeout, request),
            Some(method) => self.unary(call, method, timeout, request).await,
            None if health::is_path(path) => health::answer(&self, call, request).await,
            None => match self.worker.reflection(request) {
                Ok(answer) => answer.await,
                Err(()) => {
                    let note = "no such method";
                    self.refuse(call, Reason::Unimplemented, note).await
                }
            },
        }
    }

    async fn unary<B>(
        &self,
        call: Call,
        method: &'static Method,
        timeout: Option<Duration>,
        request: Request<B>,
    ) -> Response<Reply>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
    {
        let clock = &*self.worker.shared.clock;
        let limits = &self.worker.shared.limits;
        let timeout = timeout.unwrap_or(limits.deadline_default);
        let deadline = clock
            .monotonic()
            .saturating_add(timeout.min(limits.deadline_max));
        let mut messages = self.messages(request.into_body(), &call.authorization);
        let message = match within(clock, deadline, messages.only()).await {
            Ended::Done(Ok(message)) if !timeout.is_zero() => message,
            Ended::Done(Err(broken)) => return self.refuse_broken(call, broken).await,
            Ended::Done(Ok(_)) | Ended::Late => {
                let note = "the request did not arrive in time";
                return self.refuse(call, Reason::DeadlineExceeded, note).await;
            }
            Ended::Panicked => {
                let note = "reading the request failed";
                return self.refuse(call, Reason::Internal, note).await;
            }
        };
        match self.travel(&call, method, deadline, message).await {
            Ok(reply) => success(call.id, Reply::Single(frame(&reply))),
            Err(refusal) => failure(call.id, &refusal),
        }
    }

    /// Over the road, until the deadline.
    pub(super) async fn travel(
        &self,
        call: &Call,
        method: &'static Method,
        deadline: Duration,
        message: Message,
    ) -> Result<Bytes, Refusal> {
        let incoming = Incoming {
            id: call.id,
            method,
            connection: Arc::clone(&self.connection),
            authorization: call.authorization.clone(),
            deadline,
            trace_id: call.trace_id,
            credentials: call.credentials.as_ref().map(|given| given.next()),
            body: message.bytes.clone(),
        };
        let worker = &*self.worker;
        let travel = worker.road.travel(&worker.lane, incoming);
        match within(&*worker.shared.clock, deadline, travel).await {
            Ended::Done(result) => result,
            Ended::Late => Err(Reason::DeadlineExceeded.into()),
            Ended::Panicked => {
                tracing::error!(request_id = %call.id, method = method.path, "a call panicked");
                Err(Reason::Internal.into())
            }
        }
    }

    pub(super) fn next_id(&self) -> CallId {
        self.worker.road.next_id(&self.worker.lane)
    }

    /// `None` when too many calls are under way.
    pub(super) fn enter(self: &Rc<Self>) -> Option<Underway<R>> {
        let permit = self.worker.shared.in_flight.take(1)?;
        self.activity.calls.set(self.activity.calls.get() + 1);
        Some(Underway {
            line: Rc::clone(self),
            _permit: permit,
        })
    }

    /// The messages of a body; who has no name may send but small ones.
    pub(super) fn messages<B: Body<Data = Bytes> + Unpin>(
        &self,
        body: B,
        authorization: &Authorization,
    ) -> Messages<B> {
        let shared = &self.worker.shared;
        let presented = self.connection.presented();
        let named = presented.is_some_and(|presented| presented.name().is_ok()) || {
            let now = shared.clock.now();
            shared.identity.knows(&self.connection, authorization, now)
        };
        let limit = if named {
            shared.limits.message_bytes
        } else {
            shared.limits.message_bytes.min(super::limits::LARGE)
        };
        Messages::new(body, limit, shared.large.clone())
    }

    /// The head's limits that hold for every method.
    fn form(&self, headers: &HeaderMap) -> Result<(), (Reason, &'static str)> {
        let most = self.worker.shared.limits.header_bytes;
        if head::size(headers) > usize::try_from(most).unwrap_or(usize::MAX) {
            return Err((Reason::InvalidArgument, "the headers are over the limit"));
        }
        if !head::is_uncompressed(headers) {
            return Err((Reason::InvalidArgument, Broken::Compressed.note()));
        }
        Ok(())
    }

    pub(super) async fn refuse_broken(&self, call: Call, broken: Broken) -> Response<Reply> {
        self.refuse(call, broken.reason(), broken.note()).await
    }

    /// Refuses a call before the road: recorded, then answered.
    pub(super) async fn refuse(
        &self,
        call: Call,
        reason: Reason,
        note: &'static str,
    ) -> Response<Reply> {
        self.record(&call, reason, note).await;
        failure(call.id, &reason.into())
    }

    pub(super) async fn record(&self, call: &Call, reason: Reason, note: &'static str) {
        let early = Early {
            id: call.id,
            method: call.method,
            connection: Arc::clone(&self.connection),
            authorization: call.authorization.clone(),
            trace_id: call.trace_id,
            reason,
            note,
        };
        self.worker.road.refused(&self.worker.lane, early).await;
    }

    /// Refuses what is no gRPC request, in HTTP's words.
    async fn turn_away(&self, status: StatusCode, note: &'static str) -> Response<Reply> {
        let call = Call {
            id: self.next_id(),
            method: None,
            trace_id: None,
            authorization: Authorization::None,
            credentials: None,
        };
        self.record(&call, Reason::InvalidArgument, note).await;
        let mut response = Response::new(Reply::Empty);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(kms_proto::REQUEST_ID_METADATA, request_id_value(call.id));
        response
    }
}

impl<R: Road> Underway<R> {
    pub(super) fn line(&self) -> &Rc<Line<R>> {
        &self.line
    }
}

impl<R: Road> Drop for Underway<R> {
    fn drop(&mut self) {
        let activity = &self.line.activity;
        activity.calls.set(activity.calls.get().saturating_sub(1));
        activity
            .since
            .set(self.line.worker.shared.clock.monotonic());
    }
}

impl Activity {
    pub(super) fn new(since: Duration) -> Self {
        Self {
            calls: Cell::new(0),
            since: Cell::new(since),
        }
    }

    /// When the connection fell idle; `None` while it is not.
    pub(super) fn idle_since(&self) -> Option<Duration> {
        (self.calls.get() == 0).then(|| self.since.get())
    }
}

/// Headers of an answer that has a body.
pub(super) fn success(id: CallId, body: Reply) -> Response<Reply> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.reserve(2);
    headers.insert(header::CONTENT_TYPE, GRPC);
    headers.insert(kms_proto::REQUEST_ID_METADATA, request_id_value(id));
    response
}

/// An answer that is its status.
pub(super) fn failure(id: CallId, refusal: &Refusal) -> Response<Reply> {
    let mut response = Response::new(Reply::Empty);
    *response.headers_mut() = refusal_headers(id, refusal);
    response.headers_mut().insert(header::CONTENT_TYPE, GRPC);
    response
}

/// Content type of every gRPC answer.
pub(super) const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
