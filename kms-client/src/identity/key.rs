//! A new private key and the request for its certificate (PKCS #10). The request names nobody.

use crate::error::{Error, ErrorKind};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use zeroize::Zeroizing;

/// ECDSA with P-256.
pub(super) struct NewKey {
    /// PKCS #8 in PEM.
    pub pem: Zeroizing<String>,
    /// PKCS #10 in DER, signed by the key.
    pub request: Vec<u8>,
}

impl NewKey {
    /// Makes one.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`].
    pub(super) fn make() -> Result<Self, Error> {
        let failed = |error: rcgen::Error| {
            let message = format!("a key cannot be made: {error}");
            Error::new(ErrorKind::Internal, message)
        };
        let pair = KeyPair::generate().map_err(failed)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&pair).map_err(failed)?;
        Ok(Self {
            pem: Zeroizing::new(pair.serialize_pem()),
            request: request.der().to_vec(),
        })
    }
}
