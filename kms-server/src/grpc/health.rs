//! grpc.health.v1: needs no principal, is counted and not audited, and says nothing but whether a
//! service answers. `""` is the process; while sealed only the system service serves.

use super::frame::frame;
use super::line::{Call, Line, success};
use super::method;
use super::reply::{Part, Reply};
use super::status::ok_trailers;
use crate::call::road::Road;
use crate::identity::Authorization;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use kms_core::engine::view::Refusal;
use kms_core::reason::Reason;
use prost::Message as _;
use std::rc::Rc;
use tokio::sync::mpsc;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
const SYSTEM: &str = "kms.v1.SystemService";

/// Longest service name that is asked about.
const NAME_MAX: usize = 256;

/// A method of the health service.
pub(super) fn is_path(path: &str) -> bool {
    matches!(path, CHECK | WATCH)
}

/// Answers one status, or a status now and at every change.
pub(super) async fn answer<R, B>(
    line: &Rc<Line<R>>,
    call: Call,
    request: Request<B>,
) -> Response<Reply>
where
    R: Road,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    let watch = request.uri().path() == WATCH;
    let mut messages = line.messages(request.into_body(), &Authorization::None);
    let clock = &*line.worker.shared.clock;
    let at = clock
        .monotonic()
        .saturating_add(line.worker.shared.limits.deadline_default);
    let service = match super::deadline::within(clock, at, messages.only()).await {
        super::deadline::Ended::Done(Ok(message)) => HealthCheckRequest::decode(message.bytes)
            .ok()
            .map(|request| request.service)
            .filter(|service| service.len() <= NAME_MAX),
        super::deadline::Ended::Done(Err(_)) => None,
        _ => return refusal(call, Reason::DeadlineExceeded),
    };
    let Some(service) = service else {
        return refusal(call, Reason::InvalidArgument);
    };
    let sealed = *line.worker.shared.sealed.borrow();
    match (serving(&service, sealed), watch) {
        (_, true) => open(line, call, service),
        (ServingStatus::ServiceUnknown, false) => unknown(call),
        (now, false) => success(call.id, Reply::Single(encoded(now))),
    }
}

fn open<R: Road>(line: &Rc<Line<R>>, call: Call, service: String) -> Response<Reply> {
    let shared = std::sync::Arc::clone(&line.worker.shared);
    let permits = (shared.watchers.take(1), line.enter());
    let (Some(watcher), Some(underway)) = permits else {
        return refusal(call, Reason::ResourceExhausted);
    };
    let (parts, receiver) = mpsc::channel(1);
    tokio::task::spawn_local(async move {
        let _permits = (watcher, underway);
        let mut sealed = shared.sealed.clone();
        let mut ending = shared.ending.subscribe();
        let mut told = None;
        loop {
            let now = serving(&service, *sealed.borrow_and_update());
            if told != Some(now) && parts.send(Part::Message(encoded(now))).await.is_err() {
                return;
            }
            told = Some(now);
            tokio::select! {
                changed = sealed.changed() => if changed.is_err() { break },
                _ = ending.wait_for(|ending| *ending) => break,
                () = parts.closed() => return,
            }
        }
        let _ = parts.send(Part::End(ok_trailers())).await;
    });
    success(call.id, Reply::Stream(receiver))
}

fn serving(service: &str, sealed: bool) -> ServingStatus {
    if service.is_empty() || service == SYSTEM {
        ServingStatus::Serving
    } else if !method::all().any(|method| method.service == service) {
        ServingStatus::ServiceUnknown
    } else if sealed {
        ServingStatus::NotServing
    } else {
        ServingStatus::Serving
    }
}

fn encoded(status: ServingStatus) -> Bytes {
    let status = status.into();
    frame(&HealthCheckResponse { status }.encode_to_vec())
}

/// The protocol's own word for a service that is not there; no reason of ours says it.
fn unknown(call: Call) -> Response<Reply> {
    let mut response = success(call.id, Reply::Empty);
    let code = tonic::Code::NotFound as i32;
    let headers = response.headers_mut();
    headers.insert(tonic::Status::GRPC_STATUS, code.into());
    response
}

fn refusal(call: Call, reason: Reason) -> Response<Reply> {
    super::line::failure(call.id, &Refusal::from(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_system_service_serves_while_sealed() {
        for (service, sealed, wanted) in [
            ("", true, ServingStatus::Serving),
            ("kms.v1.SystemService", true, ServingStatus::Serving),
            ("kms.v1.KeyService", true, ServingStatus::NotServing),
            ("kms.v1.KeyService", false, ServingStatus::Serving),
            ("kms.v1.Nothing", false, ServingStatus::ServiceUnknown),
            ("kms.v1", false, ServingStatus::ServiceUnknown),
        ] {
            assert_eq!(serving(service, sealed), wanted, "{service} {sealed}");
        }
    }
}
