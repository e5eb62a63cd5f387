//! The witness over HTTP (C2SP tlog-witness): two requests, bounded in size, number and time. There is nothing secret
//! in them: what counts is signed.

use super::{Refusal, Witness};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tlog::SUBMISSION_MAX;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Connections at a time; more wait.
const CONNECTIONS_MAX: usize = 64;
/// The longest that one may last.
const TIME_MAX: Duration = Duration::from_secs(30);
/// What says that a body is the size that the witness knows.
const SIZE_TYPE: HeaderValue = HeaderValue::from_static("text/x.tlog.size");
const TEXT_TYPE: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Serves, for ever.
pub(crate) async fn serve(witness: Witness, listener: TcpListener, tell: impl Fn(&str)) {
    let witness = Arc::new(Mutex::new(witness));
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // an error would say that the semaphore is closed, which it never is
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let witness = Arc::clone(&witness);
                tokio::spawn(async move {
                    let _place = place;
                    converse(stream, witness).await;
                });
            }
            Err(error) => {
                tell(&format!("a connection cannot be taken: {error}"));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, witness: Arc<Mutex<Witness>>) {
    let answer = service_fn(move |request| answer(Arc::clone(&witness), request));
    let connection = http1::Builder::new()
        .half_close(true)
        .serve_connection(TokioIo::new(stream), answer);
    // who is slow or rude is simply not served any longer
    let _ = tokio::time::timeout(TIME_MAX, connection).await;
}

async fn answer(
    witness: Arc<Mutex<Witness>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let is_checkpoint = path.ends_with("/add-checkpoint");
    if !is_checkpoint && !path.ends_with("/add-log-keys") {
        return Ok(text(StatusCode::NOT_FOUND, "there is nothing here\n"));
    }
    if request.method() != Method::POST {
        return Ok(text(StatusCode::METHOD_NOT_ALLOWED, "this takes POST\n"));
    }
    let body = Limited::new(request.into_body(), SUBMISSION_MAX).collect();
    let Ok(body) = body.await else {
        return Ok(text(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too long, or cut off\n",
        ));
    };
    let body = body.to_bytes();
    let Ok(body) = str::from_utf8(&body) else {
        return Ok(text(StatusCode::BAD_REQUEST, "this is no text\n"));
    };
    let witness = witness.lock().unwrap_or_else(PoisonError::into_inner);
    let answered = if is_checkpoint {
        witness.submit(body, now()).map(|added| added.cosignature)
    } else {
        witness.add_log_keys(body).map(|()| String::new())
    };
    drop(witness);
    Ok(match answered {
        Ok(cosignature) => text(StatusCode::OK, &cosignature),
        Err(refusal) => refused(&refusal),
    })
}

fn refused(refusal: &Refusal) -> Response<Full<Bytes>> {
    let status = match refusal {
        Refusal::Malformed(_) | Refusal::Backward => StatusCode::BAD_REQUEST,
        Refusal::UnknownOrigin(_) => StatusCode::NOT_FOUND,
        Refusal::Untrusted(_) => StatusCode::FORBIDDEN,
        Refusal::NotExtended(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Refusal::Memory(_) => StatusCode::INTERNAL_SERVER_ERROR,
        Refusal::Conflict(size) => {
            let mut response = text(StatusCode::CONFLICT, &format!("{size}\n"));
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, SIZE_TYPE);
            return response;
        }
    };
    text(status, &format!("{refusal}\n"))
}

fn text(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, TEXT_TYPE);
    response
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0)
}
