//! gRPC-Web on the same port, for clients that cannot speak HTTP/2 trailers. A request that says it
//! comes from a web page (`Origin`) is refused unless that origin is listed; none is by default.

use super::line::Line;
use super::reply::Reply;
use crate::call::road::Road;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tonic_web::GrpcWebLayer;
use tower_layer::Layer;
use tower_service::Service;

/// Why a request with another origin is refused.
pub(super) const NOT_LISTED: &str = "the request's Origin is not listed";

/// Without `Origin`, or with a listed one.
pub(super) fn allows(origins: &[String], headers: &HeaderMap) -> bool {
    headers.get_all(header::ORIGIN).iter().all(|origin| {
        origins
            .iter()
            .any(|listed| listed.as_bytes() == origin.as_bytes())
    })
}

/// A browser's question whether it may ask (Fetch standard, "CORS-preflight request").
pub(super) fn is_preflight<B>(request: &Request<B>) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ORIGIN)
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The yes to a listed origin.
pub(super) fn preflight<B>(request: &Request<B>) -> Response<Reply> {
    let mut response = Response::new(Reply::Empty);
    *response.status_mut() = StatusCode::NO_CONTENT;
    allow_origin(
        request.headers().get(header::ORIGIN).cloned(),
        &mut response,
    );
    let headers = response.headers_mut();
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("POST"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(
            "authorization,content-type,grpc-timeout,traceparent,x-grpc-web,x-user-agent",
        ),
    );
    response
}

/// Translates, calls, translates back.
pub(super) async fn answer<R, B>(line: Rc<Line<R>>, request: Request<B>) -> Response<Reply>
where
    R: Road,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<tonic::codegen::StdError> + std::fmt::Display,
{
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut service = GrpcWebLayer::new().layer(Translated(line));
    let Ok(response) = service.call(request).await;
    let mut response = response.map(Reply::Foreign);
    allow_origin(origin, &mut response);
    response
}

fn allow_origin(origin: Option<HeaderValue>, response: &mut Response<Reply>) {
    let Some(origin) = origin else { return };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::VARY, HeaderValue::from_static("origin"));
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("grpc-status,grpc-message,grpc-status-details-bin,kms-request-id"),
    );
}

/// The calls of a connection, as tonic-web wants to see them.
struct Translated<R: Road>(Rc<Line<R>>);

impl<R: Road> Service<Request<tonic::body::Body>> for Translated<R> {
    type Response = Response<Reply>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Reply>, Infallible>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let line = Rc::clone(&self.0);
        Box::pin(async move { Ok(line.call(request).await) })
    }
}
