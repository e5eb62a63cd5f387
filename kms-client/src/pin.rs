//! Pins: the server's public key must be one that the profile names, whoever signed its certificate.
//!
//! Never lets a pin weaken the check of an authority: where both are given, both must pass.

use data_encoding::BASE64;
use ring::digest::{SHA256, digest};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, OtherError, SignatureScheme};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

const PREFIX: &str = "sha256/";

/// SHA-256 of a certificate's SubjectPublicKeyInfo in DER (RFC 7469, section 2.4). As text
/// `sha256/` and padded base64. Survives a renewed certificate that keeps its key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pin([u8; 32]);

impl Pin {
    /// The pin of a certificate in DER; `None` when it is no X.509 certificate.
    #[must_use]
    pub fn of_certificate(der: &[u8]) -> Option<Self> {
        let certificate = CertificateDer::from(der);
        let parsed = webpki::EndEntityCert::try_from(&certificate).ok()?;
        let hash = digest(&SHA256, &parsed.subject_public_key_info());
        hash.as_ref().try_into().ok().map(Self)
    }
}

/// The text is no pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be `sha256/` and the base64 of 32 bytes")]
pub struct InvalidPin;

impl FromStr for Pin {
    type Err = InvalidPin;

    fn from_str(text: &str) -> Result<Self, InvalidPin> {
        let encoded = text.strip_prefix(PREFIX).ok_or(InvalidPin)?;
        let bytes = BASE64.decode(encoded.as_bytes()).map_err(|_| InvalidPin)?;
        bytes.try_into().map(Self).map_err(|_| InvalidPin)
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", BASE64.encode(&self.0))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pin({self})")
    }
}

/// The server's key is none of the pinned ones: its pin.
#[derive(Debug, thiserror::Error)]
#[error("the server's public key is {0}, which is none of the profile's pins")]
pub(crate) struct PinMismatch(Pin);

/// Verifies the server: pin, then authority and name (when authorities are given). The handshake's
/// signature proves that the server holds the key.
#[derive(Debug)]
pub(crate) struct ServerVerifier {
    pins: Vec<Pin>,
    authority: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerVerifier {
    pub(crate) const fn new(
        pins: Vec<Pin>,
        authority: Option<Arc<WebPkiServerVerifier>>,
        provider: Arc<CryptoProvider>,
    ) -> Self {
        Self {
            pins,
            authority,
            provider,
        }
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = Pin::of_certificate(end_entity).ok_or(CertificateError::BadEncoding)?;
        if !self.pins.contains(&shown) {
            let mismatch = OtherError(Arc::new(PinMismatch(shown)));
            return Err(CertificateError::Other(mismatch).into());
        }
        match &self.authority {
            None => Ok(ServerCertVerified::assertion()),
            Some(authority) => authority.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            ),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        // the configuration offers TLS 1.3 alone
        Err(rustls::PeerIncompatible::ServerDoesNotSupportTls12Or13.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_read_what_they_write() {
        let text = "sha256/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let pin: Pin = text.parse().unwrap();
        assert_eq!(pin.to_string(), text);
        for bad in [
            "",
            "sha256/",
            "sha256/AAAA",
            "sha512/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            "sha256/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        ] {
            assert_eq!(bad.parse::<Pin>(), Err(InvalidPin), "{bad}");
        }
    }

    #[test]
    fn bytes_that_are_no_certificate_have_no_pin() {
        assert_eq!(Pin::of_certificate(b"certificate"), None);
    }
}
