//! Bodies of answers.

use super::status::ok_trailers;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::sync::mpsc;

/// What a stream of calls sends.
#[derive(Debug)]
pub(super) enum Part {
    /// A message with its prefix.
    Message(Bytes),
    /// The status that ends the stream.
    End(HeaderMap),
}

/// The body of an answer.
pub(super) enum Reply {
    /// Everything stands in the headers.
    Empty,
    /// One message with its prefix, then the status OK.
    Single(Bytes),
    /// The status OK is left to send.
    Ending,
    /// Parts as they come. When the sender is gone without an end, the stream breaks off.
    Stream(mpsc::Receiver<Part>),
    /// Made by a service of tonic's.
    Foreign(tonic::body::Body),
}

/// A body that ends before its status: the peer sees a reset.
#[derive(Debug, thiserror::Error)]
#[error("the answer broke off")]
pub(super) struct BrokeOff;

impl Body for Reply {
    type Data = Bytes;
    type Error = BrokeOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokeOff>>> {
        let frame = match &mut *self {
            Self::Empty => return Poll::Ready(None),
            Self::Single(message) => {
                let message = std::mem::take(message);
                *self = Self::Ending;
                Frame::data(message)
            }
            Self::Ending => {
                *self = Self::Empty;
                Frame::trailers(ok_trailers())
            }
            Self::Stream(parts) => match ready!(parts.poll_recv(cx)) {
                Some(Part::Message(message)) => Frame::data(message),
                Some(Part::End(trailers)) => {
                    *self = Self::Empty;
                    Frame::trailers(trailers)
                }
                None => return Poll::Ready(Some(Err(BrokeOff))),
            },
            Self::Foreign(body) => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                return Poll::Ready(frame.map(|frame| frame.map_err(|_| BrokeOff)));
            }
        };
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Single(_) | Self::Ending | Self::Stream(_) => false,
            Self::Foreign(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            _ => SizeHint::default(),
        }
    }
}
