//! Server reflection (grpc.reflection.v1), off unless configured: it shows the API, nothing of the data.

use super::reply::Reply;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use std::pin::Pin;
use tower_service::Service;

const PREFIX: &str = "/grpc.reflection.v1.ServerReflection/";

type Answer = Pin<Box<dyn Future<Output = Response<tonic::body::Body>>>>;

/// The reflection service of one runtime.
pub(super) struct Reflection(Option<Box<dyn Fn(Request<tonic::body::Body>) -> Answer>>);

impl Reflection {
    pub(super) fn new() -> Self {
        let service = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(kms_proto::DESCRIPTORS)
            .build_v1();
        match service {
            Ok(service) => Self(Some(Box::new(move |request| {
                let mut service = service.clone();
                Box::pin(async move {
                    let Ok(response) = service.call(request).await;
                    response
                })
            }))),
            Err(error) => {
                tracing::error!(%error, "reflection cannot be served");
                Self(None)
            }
        }
    }

    /// # Errors
    /// When the path is not the service's.
    pub(super) fn answer<B>(
        &self,
        request: Request<B>,
    ) -> Result<impl Future<Output = Response<Reply>>, ()>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
    {
        let service = self.0.as_ref().ok_or(())?;
        if !request.uri().path().starts_with(PREFIX) {
            return Err(());
        }
        let request = request.map(|body| {
            tonic::body::Body::new(http_body_util::BodyExt::map_err(body, |_| BrokeOff))
        });
        let answer = service(request);
        Ok(async move { answer.await.map(Reply::Foreign) })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the request broke off")]
struct BrokeOff;
