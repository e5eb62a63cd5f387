//! A stream: a header with the wrapped data key, then one message of any length, through [`Read`] and
//! [`Write`]. For exports, attachments and pipes; files with random access and rewrap in place have an
//! envelope of their own.
//!
//! `format 1 | blob kind 1 = 4 | length 1 | wrapped data key | cobblestone message`. Never yields
//! unauthenticated bytes and never takes the end of the bytes for the end of the message.

use crate::data_key::{DataKey, DataKeyRequest, GeneratedDataKey, UnwrapRequest, UnwrappedDataKey};
use crate::error::Error;
use crate::label;
use crate::name::{ItemContext, KeyContext};
use crate::source::{KeySource, only};
use crate::wrapped::{self, FRAME_HEADER_LEN, Frame, WRAPPED_LEN_MAX, WrappedDataKey};
use cobblestone::{Key, OpenReader, Salt, SealWriter};
use std::io::{Read, Write};

/// Begins a stream on `inner` under a data key of its own. [`SealWriter::finish`] ends it; without that
/// no reader accepts it.
///
/// # Errors
/// The service's; those of `inner` as [`ErrorKind::Io`](crate::ErrorKind::Io).
pub async fn create<W: Write>(
    source: &impl KeySource,
    request: &DataKeyRequest,
    item_context: &ItemContext,
    inner: W,
) -> Result<SealWriter<W>, Error> {
    // its length is unknown, so a shared data key's limit could not be kept
    let key = only(source.generate(std::slice::from_ref(request)).await)?;
    writer(&key, item_context, inner)
}

/// As [`create`], under a data key that was made before and for this stream alone.
///
/// # Errors
/// Those of `inner` as [`ErrorKind::Io`](crate::ErrorKind::Io).
pub fn writer<W: Write>(
    key: &GeneratedDataKey,
    item_context: &ItemContext,
    mut inner: W,
) -> Result<SealWriter<W>, Error> {
    inner.write_all(&wrapped::frame(Frame::Stream, &key.wrapped))?;
    let salt = Salt::random()?;
    Ok(message_writer(&key.data_key, item_context, inner, &salt))
}

fn message_writer<W: Write>(
    data_key: &DataKey,
    item_context: &ItemContext,
    inner: W,
    salt: &Salt,
) -> SealWriter<W> {
    SealWriter::new(inner, &derive(data_key), &context(item_context), salt)
}

/// Opens the stream that `inner` holds up to its end.
///
/// # Errors
/// The service's; [`ErrorKind::Undecryptable`](crate::ErrorKind::Undecryptable); those of `inner` as
/// [`ErrorKind::Io`](crate::ErrorKind::Io).
pub async fn open<R: Read>(
    source: &impl KeySource,
    key_context: &KeyContext,
    item_context: &ItemContext,
    mut inner: R,
) -> Result<OpenReader<R>, Error> {
    let wrapped = read_header(&mut inner)?;
    let key_context = key_context.clone();
    let request = UnwrapRequest {
        wrapped,
        key_context,
    };
    let key = only(source.unwrap(&[request]).await)?;
    reader(&key, item_context, inner)
}

/// Reads a stream's header and leaves `inner` where the message begins.
///
/// # Errors
/// [`ErrorKind::Undecryptable`](crate::ErrorKind::Undecryptable) when it is no stream; those of `inner`
/// as [`ErrorKind::Io`](crate::ErrorKind::Io).
pub fn read_header(inner: &mut impl Read) -> Result<WrappedDataKey, Error> {
    let mut header = [0; FRAME_HEADER_LEN];
    inner.read_exact(&mut header)?;
    let len = wrapped::framed_len(Frame::Stream, header)?;
    let mut bytes = [0; WRAPPED_LEN_MAX];
    let bytes = bytes.get_mut(..len).ok_or_else(Error::undecryptable)?;
    inner.read_exact(bytes)?;
    WrappedDataKey::parse(bytes)
}

/// Reads the message after the header under its opened data key.
///
/// # Errors
/// [`ErrorKind::Undecryptable`](crate::ErrorKind::Undecryptable); those of `inner` as
/// [`ErrorKind::Io`](crate::ErrorKind::Io).
pub fn reader<R: Read>(
    key: &UnwrappedDataKey,
    item_context: &ItemContext,
    inner: R,
) -> Result<OpenReader<R>, Error> {
    let context = context(item_context);
    Ok(OpenReader::new(inner, &derive(&key.data_key), &context)?)
}

fn derive(data_key: &DataKey) -> Key {
    data_key.deriver().derive_key(&[label::STREAM_KEY])
}

fn context(item_context: &ItemContext) -> Vec<u8> {
    [label::STREAM_CONTEXT, &item_context.canonical()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::source::local::{LocalService, request};

    async fn sealed(service: &LocalService, text: &[u8]) -> Vec<u8> {
        let item = ItemContext::new([("export", "7")]).unwrap();
        let mut writer = create(service, &request("acme"), &item, Vec::new())
            .await
            .unwrap();
        writer.write_all(text).unwrap();
        writer.finish().unwrap()
    }

    async fn opened(
        service: &LocalService,
        tenant: &str,
        export: &str,
        bytes: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let item = ItemContext::new([("export", export)]).unwrap();
        let key_context = request(tenant).key_context().clone();
        let mut reader = open(service, &key_context, &item, bytes).await?;
        let mut text = Vec::new();
        reader.read_to_end(&mut text)?;
        Ok(text)
    }

    #[tokio::test]
    async fn streams_of_any_length_read_back() {
        let service = LocalService::new();
        for len in [0, 1, 16_383, 16_384, 16_385, 300_000] {
            let text = vec![b'x'; len];
            let bytes = sealed(&service, &text).await;
            assert_eq!(opened(&service, "acme", "7", &bytes).await.unwrap(), text);
        }
    }

    #[tokio::test]
    async fn a_cut_or_foreign_stream_is_refused() {
        let service = LocalService::new();
        let bytes = sealed(&service, &[b'x'; 20_000]).await;
        let whole = bytes.as_slice();
        for (tenant, export, bytes) in [
            ("acme", "7", &whole[..whole.len() - 1]),
            ("acme", "7", &whole[..whole.len() - 3_632]),
            ("acme", "7", &[whole, b"x"].concat()),
            ("acme", "8", whole),
            ("other", "7", whole),
            ("acme", "7", &[&[1, 3], &whole[2..]].concat()),
        ] {
            let error = opened(&service, tenant, export, bytes).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Undecryptable);
        }
        let error = opened(&service, "acme", "7", &whole[..50])
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
    }

    #[test]
    fn the_format_stays_as_documented() {
        // computed by Python (hmac, hashlib, cryptography) from docs/formats.md alone
        let key = DataKey::from_slice(&[7; 32]).unwrap();
        let item = ItemContext::new([("invoice", "4711")]).unwrap();
        let salt = Salt::from_bytes([1; 24]);
        let mut writer = message_writer(&key, &item, Vec::new(), &salt);
        writer.write_all(b"jane").unwrap();
        let expected = "010101010101010101010101010101010101010101010101e8c447fffd2065628506ba2b09b6\
                        93befd6b0d4beae116e64135fa151200e2b853103a6f12b40d4319710f3e1fcf34274875d821";
        let message = writer.finish().unwrap();
        assert_eq!(data_encoding::HEXLOWER.encode(&message), expected);
    }
}
