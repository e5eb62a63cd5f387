//! A field that stands alone: one value with its wrapped data key in one piece, for places that have no
//! column for the key. About 200 bytes longer than its plaintext; rows cost less, see [`crate::row`].
//!
//! `format 1 | blob kind 1 = 3 | length 1 | wrapped data key | cobblestone message`. Never answers a
//! plaintext that was not authenticated in full.

use crate::data_key::{DataKey, DataKeyRequest, UnwrapRequest};
use crate::error::Error;
use crate::label;
use crate::name::{ItemContext, KeyContext};
use crate::source::{KeySource, only};
use crate::wrapped::{self, Frame, WrappedDataKey};
use cobblestone::{Key, Salt};
use zeroize::Zeroizing;

/// An encrypted field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    wrapped: WrappedDataKey,
    message: Vec<u8>,
}

impl Field {
    /// Encrypts a field. With a [`Cached`](crate::cache::Cached) source fields of one dataset, context
    /// and shred list share data keys; without one each has its own.
    ///
    /// # Errors
    /// The service's.
    pub async fn seal(
        source: &impl KeySource,
        request: &DataKeyRequest,
        item_context: &ItemContext,
        plaintext: &[u8],
    ) -> Result<Self, Error> {
        let bytes = u64::try_from(plaintext.len()).unwrap_or(u64::MAX);
        let key = source.shared_key(request, bytes).await?;
        let message = encrypt(&key.data_key, item_context, &Salt::random()?, plaintext)?;
        let wrapped = key.wrapped.clone();
        Ok(Self { wrapped, message })
    }

    /// Decrypts the field, given both contexts exactly.
    ///
    /// # Errors
    /// The service's; [`ErrorKind::Undecryptable`](crate::ErrorKind::Undecryptable).
    pub async fn open(
        &self,
        source: &impl KeySource,
        key_context: &KeyContext,
        item_context: &ItemContext,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let request = UnwrapRequest {
            wrapped: self.wrapped.clone(),
            key_context: key_context.clone(),
        };
        let key = only(source.unwrap(&[request]).await)?;
        let context = context(item_context);
        Ok(cobblestone::open(
            &derive(&key.data_key),
            &context,
            &self.message,
        )?)
    }

    /// Reads stored bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Undecryptable`](crate::ErrorKind::Undecryptable) when they are no field.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let (wrapped, message) = wrapped::split_frame(Frame::Field, bytes)?;
        let message = message.to_vec();
        Ok(Self { wrapped, message })
    }

    /// The bytes to store.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = wrapped::frame(Frame::Field, &self.wrapped);
        bytes.extend_from_slice(&self.message);
        bytes
    }

    /// As text: `kms1:` and base64url.
    #[must_use]
    pub fn to_text(&self) -> String {
        wrapped::to_text(&self.to_bytes())
    }

    /// From [`Field::to_text`].
    ///
    /// # Errors
    /// [`ErrorKind::Undecryptable`](crate::ErrorKind::Undecryptable) when it is no field.
    pub fn from_text(text: &str) -> Result<Self, Error> {
        Self::parse(&wrapped::from_text(text)?)
    }

    /// Its wrapped data key, for a rewrap.
    #[must_use]
    pub const fn wrapped(&self) -> &WrappedDataKey {
        &self.wrapped
    }

    /// The same field with its data key wrapped again; the encrypted value stays as it is.
    #[must_use]
    pub fn with_wrapped(self, wrapped: WrappedDataKey) -> Self {
        Self { wrapped, ..self }
    }
}

fn encrypt(
    data_key: &DataKey,
    item_context: &ItemContext,
    salt: &Salt,
    plaintext: &[u8],
) -> Result<Vec<u8>, Error> {
    let context = context(item_context);
    Ok(cobblestone::seal(
        &derive(data_key),
        &context,
        salt,
        plaintext,
    )?)
}

fn derive(data_key: &DataKey) -> Key {
    data_key.deriver().derive_key(&[label::FIELD_KEY])
}

fn context(item_context: &ItemContext) -> Vec<u8> {
    [label::FIELD_CONTEXT, &item_context.canonical()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::source::local::{LocalService, request};

    fn item(id: &str) -> ItemContext {
        ItemContext::new([("invoice", id)]).unwrap()
    }

    #[tokio::test]
    async fn a_field_opens_in_its_contexts_only() {
        let service = LocalService::new();
        let request = request("acme");
        let field = Field::seal(&service, &request, &item("4711"), b"42.00 EUR").await;
        let field = field.unwrap();
        let field = Field::from_text(&field.to_text()).unwrap();
        assert_eq!(field.to_bytes().len(), 9 + 3 + 127 + 72);
        let acme = request.key_context();
        let opened = field.open(&service, acme, &item("4711")).await.unwrap();
        assert_eq!(opened.as_slice(), b"42.00 EUR");
        let other = KeyContext::new([("tenant", "other")]).unwrap();
        for (key, item) in [(acme, item("4712")), (&other, item("4711"))] {
            let error = field.open(&service, key, &item).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Undecryptable);
        }
    }

    #[tokio::test]
    async fn every_byte_of_a_field_counts() {
        let service = LocalService::new();
        let request = request("acme");
        let field = Field::seal(&service, &request, &item("1"), b"x")
            .await
            .unwrap();
        let bytes = field.to_bytes();
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            if let Ok(field) = Field::parse(&bad) {
                let item = item("1");
                let opened = field.open(&service, request.key_context(), &item).await;
                assert!(opened.is_err(), "byte {at}");
            }
        }
        assert!(Field::parse(&bytes[..bytes.len() - 74]).is_err());
    }

    #[tokio::test]
    async fn a_rewrap_leaves_the_value_valid() {
        let service = LocalService::new();
        let request = request("acme");
        let field = Field::seal(&service, &request, &item("1"), b"x")
            .await
            .unwrap();
        service.rotate();
        let wrapped = service.rewrap(field.wrapped(), request.key_context());
        let field = field.with_wrapped(wrapped);
        assert_eq!(field.wrapped().header().version, 2);
        let item = item("1");
        let opened = field.open(&service, request.key_context(), &item).await;
        assert_eq!(opened.unwrap().as_slice(), b"x");
    }

    #[test]
    fn the_format_stays_as_documented() {
        // computed by Python (hmac, hashlib, cryptography) from docs/formats.md alone
        let key = DataKey::from_slice(&[7; 32]).unwrap();
        let salt = Salt::from_bytes([1; 24]);
        let message = encrypt(&key, &item("4711"), &salt, b"jane").unwrap();
        let expected = "010101010101010101010101010101010101010101010101aa6d7a3e89add538080406545c79\
                        dfa04cbaccc4d92a539c5a8d45694009d78056f77d43fb7ac030bea0cab46f4b40ddf891409d";
        assert_eq!(data_encoding::HEXLOWER.encode(&message), expected);
    }
}
