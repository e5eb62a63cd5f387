//! The built-in certificate authority's key (Ed25519, RFC 8032), and the keys that it certifies: whoever asks for a
//! certificate signs the request with the key in it (RFC 2986). Knows no certificate's form.

use super::signature::{BadSignature, InstanceKey, PUBLIC_LEN, PublicKey, SIGNATURE_LEN};
use crate::secret::AuthoritySeed;
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

/// Bytes of an uncompressed point of P-256 (SEC 1, 2.3.3).
const POINT_LEN: usize = 65;
/// Its first byte.
const UNCOMPRESSED: u8 = 4;

/// The authority's key, ready to sign.
#[derive(Debug)]
pub struct AuthorityKey(InstanceKey);

impl AuthorityKey {
    /// From its seed.
    ///
    /// # Errors
    /// As [`InstanceKey::new`].
    pub fn new(seed: &AuthoritySeed) -> Result<Self, BadSignature> {
        InstanceKey::from_seed(seed.expose_bytes()).map(Self)
    }

    /// Signs the bytes of a certificate.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> [u8; SIGNATURE_LEN] {
        self.0.sign(bytes)
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.0.public()
    }
}

/// A key that may be certified. There is no other kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubjectKey {
    /// ECDSA with P-256: an uncompressed point. Whether it lies on the curve shows when a signature is verified.
    P256([u8; POINT_LEN]),
    /// Ed25519.
    Ed25519([u8; PUBLIC_LEN]),
}

impl SubjectKey {
    /// From the bits of a SubjectPublicKeyInfo of id-ecPublicKey with prime256v1.
    #[must_use]
    pub fn p256(point: &[u8]) -> Option<Self> {
        let point: [u8; POINT_LEN] = point.try_into().ok()?;
        (point.first() == Some(&UNCOMPRESSED)).then_some(Self::P256(point))
    }

    /// From the bits of a SubjectPublicKeyInfo of id-Ed25519.
    #[must_use]
    pub fn ed25519(key: &[u8]) -> Option<Self> {
        key.try_into().ok().map(Self::Ed25519)
    }

    /// The bits of its SubjectPublicKeyInfo.
    #[must_use]
    pub const fn bytes(&self) -> &[u8] {
        match self {
            Self::P256(point) => point,
            Self::Ed25519(key) => key,
        }
    }

    /// The signature must be this key's over exactly these bytes: ECDSA in DER with SHA-256, or Ed25519.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify(&self, bytes: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        match self {
            Self::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point)
                .verify(bytes, signature)
                .map_err(|_| BadSignature),
            Self::Ed25519(key) => PublicKey(*key).verify(bytes, signature),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

    #[test]
    fn what_the_authority_signs_its_public_half_verifies() {
        let key = AuthorityKey::new(&AuthoritySeed::take_bytes(&mut [7; 32])).unwrap();
        let signature = key.sign(b"certificate");
        key.public().verify(b"certificate", &signature).unwrap();
        assert!(key.public().verify(b"another", &signature).is_err());
        assert!(!format!("{key:?}").contains("07, 07"));
    }

    #[test]
    fn requests_are_signed_by_the_key_they_ask_for() {
        let random = SystemRandom::new();
        let alg = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(alg, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(alg, pkcs8.as_ref(), &random).unwrap();
        let p256 = SubjectKey::p256(pair.public_key().as_ref()).unwrap();
        let signature = pair.sign(&random, b"request").unwrap();
        p256.verify(b"request", signature.as_ref()).unwrap();
        assert!(p256.verify(b"other", signature.as_ref()).is_err());

        let ed = AuthorityKey::new(&AuthoritySeed::take_bytes(&mut [9; 32])).unwrap();
        let subject = SubjectKey::ed25519(&ed.public().0).unwrap();
        subject.verify(b"request", &ed.sign(b"request")).unwrap();
        assert!(subject.verify(b"request", signature.as_ref()).is_err());
    }

    #[test]
    fn other_forms_are_no_keys() {
        let mut point = [4; POINT_LEN];
        assert!(SubjectKey::p256(&point).is_some());
        assert!(
            SubjectKey::p256(&point)
                .unwrap()
                .verify(b"x", &[0; 70])
                .is_err(),
            "not on the curve"
        );
        point[0] = 2;
        assert!(SubjectKey::p256(&point).is_none());
        assert!(SubjectKey::p256(&point[..33]).is_none());
        assert!(SubjectKey::ed25519(&point[..31]).is_none());
    }
}
