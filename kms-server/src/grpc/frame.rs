//! Length-prefixed messages (gRPC over HTTP/2, "Length-Prefixed-Message"): flag, four bytes of
//! length, message. Reads them out of a body without copying where a message came in one piece;
//! never buffers more than one message, and never more than has arrived.

use super::gauge::{Gauge, Permit};
use super::limits::LARGE;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use kms_core::reason::Reason;

const PREFIX: usize = 5;

/// One message, and the memory it was granted when it is a large one.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) bytes: Bytes,
    _large: Option<Permit>,
}

/// What is wrong with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    Empty,
    Oversize,
    Compressed,
    Flag,
    Truncated,
    Trailing,
    Busy,
    BrokeOff,
}

impl Broken {
    pub(super) const fn reason(self) -> Reason {
        match self {
            Self::Busy => Reason::ResourceExhausted,
            _ => Reason::InvalidArgument,
        }
    }

    pub(super) const fn note(self) -> &'static str {
        match self {
            Self::Empty => "the body holds no message",
            Self::Oversize => "the message is longer than the limit",
            Self::Compressed => "compressed messages are not accepted",
            Self::Flag => "the message's flag is neither 0 nor 1",
            Self::Truncated => "the body ends within a message",
            Self::Trailing => "something follows the one message of the call",
            Self::Busy => "too many large messages are under way",
            Self::BrokeOff => "the body broke off",
        }
    }
}

/// `message` with its prefix.
pub(super) fn frame(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(message);
    framed.freeze()
}

/// The messages of a request body.
pub(super) struct Messages<B> {
    body: B,
    limit: usize,
    large: Gauge,
    // of the frame that came last: not yet looked at
    rest: Bytes,
    // the beginning of a message that came in pieces
    partial: BytesMut,
    granted: Option<Permit>,
}

impl<B: Body<Data = Bytes> + Unpin> Messages<B> {
    /// Messages of at most `limit` bytes; large ones are granted by `large`.
    pub(super) fn new(body: B, limit: usize, large: Gauge) -> Self {
        Self {
            body,
            limit,
            large,
            rest: Bytes::new(),
            partial: BytesMut::new(),
            granted: None,
        }
    }

    /// The next message; `None` at a proper end. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Result<Option<Message>, Broken> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            match self.body.frame().await {
                None => {
                    return if self.partial.is_empty() {
                        Ok(None)
                    } else {
                        Err(Broken::Truncated)
                    };
                }
                Some(Err(_)) => return Err(Broken::BrokeOff),
                // trailers of a request say nothing to us
                Some(Ok(frame)) => self.rest = frame.into_data().unwrap_or_default(),
            }
        }
    }

    /// The one message of a unary call, with nothing after it.
    pub(super) async fn only(&mut self) -> Result<Message, Broken> {
        let message = self.next().await?.ok_or(Broken::Empty)?;
        if self.rest.is_empty() && self.body.is_end_stream() {
            return Ok(message);
        }
        match self.next().await {
            Ok(None) => Ok(message),
            Err(Broken::BrokeOff) => Err(Broken::BrokeOff),
            Ok(Some(_)) | Err(_) => Err(Broken::Trailing),
        }
    }

    fn take(&mut self) -> Result<Option<Message>, Broken> {
        if self.partial.is_empty()
            && let Some(total) = self.total(&self.rest)?
            && self.rest.len() >= total
        {
            self.grant(total)?;
            let bytes = self.rest.split_to(total);
            return Ok(Some(self.message(bytes)));
        }
        while !self.rest.is_empty() {
            let total = self.total(&self.partial)?;
            if let Some(total) = total {
                self.grant(total)?;
            }
            let wanted = total.unwrap_or(PREFIX).saturating_sub(self.partial.len());
            let piece = self.rest.split_to(wanted.min(self.rest.len()));
            self.partial.extend_from_slice(&piece);
            if self.total(&self.partial)? == Some(self.partial.len()) {
                let bytes = self.partial.split().freeze();
                return Ok(Some(self.message(bytes)));
            }
        }
        Ok(None)
    }

    /// Length of prefix and message; `None` while the prefix is not whole.
    fn total(&self, bytes: &[u8]) -> Result<Option<usize>, Broken> {
        let Some(([flag, length @ ..], _)) = bytes.split_first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        match flag {
            0 => {}
            1 => return Err(Broken::Compressed),
            _ => return Err(Broken::Flag),
        }
        match usize::try_from(u32::from_be_bytes(*length)) {
            Ok(length) if length <= self.limit => Ok(Some(PREFIX + length)),
            _ => Err(Broken::Oversize),
        }
    }

    fn grant(&mut self, total: usize) -> Result<(), Broken> {
        if total > LARGE && self.granted.is_none() {
            self.granted = Some(self.large.take(total).ok_or(Broken::Busy)?);
        }
        Ok(())
    }

    fn message(&mut self, mut framed: Bytes) -> Message {
        framed.advance(PREFIX);
        Message {
            bytes: framed,
            _large: self.granted.take(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body::Frame;
    use proptest::prelude::*;
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    struct Pieces(VecDeque<Bytes>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
        }
        fn is_end_stream(&self) -> bool {
            self.0.is_empty()
        }
    }

    fn now<T>(future: impl Future<Output = T>) -> T {
        let mut context = Context::from_waker(Waker::noop());
        match std::pin::pin!(future).poll(&mut context) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("all bytes are there"),
        }
    }

    fn messages(bytes: &[u8], piece: usize) -> Messages<Pieces> {
        let pieces = bytes.chunks(piece).map(Bytes::copy_from_slice).collect();
        Messages::new(Pieces(pieces), 100_000, Gauge::new(1_000_000))
    }

    fn only(bytes: &[u8], piece: usize) -> Result<Bytes, Broken> {
        now(messages(bytes, piece).only()).map(|message| message.bytes)
    }

    proptest! {
        #[test]
        fn messages_come_out_as_they_went_in(
            wanted in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
            piece in 1_usize..60,
        ) {
            let bytes: Vec<u8> = wanted.iter().flat_map(|m| frame(m).to_vec()).collect();
            let mut messages = messages(&bytes, piece);
            for message in &wanted {
                let read = now(messages.next()).unwrap().unwrap();
                prop_assert_eq!(&read.bytes[..], &message[..]);
            }
            prop_assert!(now(messages.next()).unwrap().is_none());
        }

        #[test]
        fn a_unary_body_is_one_message_and_nothing_else(
            bytes in prop::collection::vec(0_u8..8, 0..40),
            piece in 1_usize..60,
        ) {
            let whole = bytes.len() >= PREFIX
                && bytes[0] == 0
                && u32::from_be_bytes(bytes[1..5].try_into().unwrap()) as usize == bytes.len() - 5;
            prop_assert_eq!(only(&bytes, piece).is_ok(), whole);
        }
    }

    #[test]
    fn each_defect_has_its_name() {
        for piece in [1, 3, 5, 7, 1_000] {
            assert_eq!(only(b"", piece), Err(Broken::Empty));
            assert_eq!(only(&[1, 0, 0, 0, 0], piece), Err(Broken::Compressed));
            assert_eq!(only(&[2, 0, 0, 0, 0], piece), Err(Broken::Flag));
            assert_eq!(only(&[0, 0xFF, 0, 0, 0], piece), Err(Broken::Oversize));
            assert_eq!(only(&[0, 0, 0, 0, 2, 9], piece), Err(Broken::Truncated));
            assert_eq!(only(&[0, 0, 0], piece), Err(Broken::Truncated));
            let two = [frame(b"a"), frame(b"b")].concat();
            assert_eq!(only(&two, piece), Err(Broken::Trailing));
            let garbage = [&frame(b"a")[..], &[0]].concat();
            assert_eq!(only(&garbage, piece), Err(Broken::Trailing));
            assert_eq!(only(&frame(b""), piece).unwrap(), Bytes::new());
        }
    }

    #[test]
    fn large_messages_are_granted_while_they_live() {
        let gauge = Gauge::new(60_000);
        let body = |size: usize| {
            let pieces = [frame(&vec![7; size])].into();
            Messages::new(Pieces(pieces), 100_000, gauge.clone())
        };
        let first = now(body(40_000).only()).unwrap();
        assert_eq!(gauge.count(), 40_005);
        assert!(matches!(now(body(40_000).only()), Err(Broken::Busy)));
        assert!(now(body(10_000).only()).is_ok());
        drop(first);
        assert!(now(body(40_000).only()).is_ok());
        assert_eq!(gauge.count(), 0);
    }
}
