//! Signatures of access tokens (RFC 7518, RFC 8037): verified, never made. Algorithms with a shared key, and
//! "none", have no name here, so that no configuration and no token can ask for them.

use super::signature::BadSignature;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};

/// Bytes of an RSA modulus: 2048 to 4096 bits, so that no key makes a verification dear.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=512;
/// The smallest public exponent (FIPS 186-5, 5.4).
const EXPONENT_MIN: u64 = 65_537;

macro_rules! algorithms {
    ($($name:ident $word:literal $doc:literal),+ $(,)?) => {
        /// How a token is signed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Algorithm {$(
            #[doc = $doc]
            $name,
        )+}

        impl Algorithm {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Its name in the header of a token, exactly as RFC 7518 and RFC 8037 spell it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {$(Self::$name => $word,)+}
            }
        }
    };
}

algorithms! {
    Es256 "ES256" "ECDSA with P-256 and SHA-256.",
    Es384 "ES384" "ECDSA with P-384 and SHA-384.",
    EdDsa "EdDSA" "Ed25519.",
    Rs256 "RS256" "RSASSA-PKCS1-v1_5 with SHA-256.",
    Rs384 "RS384" "RSASSA-PKCS1-v1_5 with SHA-384.",
    Rs512 "RS512" "RSASSA-PKCS1-v1_5 with SHA-512.",
    Ps256 "PS256" "RSASSA-PSS with SHA-256.",
    Ps384 "PS384" "RSASSA-PSS with SHA-384.",
    Ps512 "PS512" "RSASSA-PSS with SHA-512.",
}

impl Algorithm {
    /// From its name; case matters.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|it| it.as_str() == word)
    }

    fn rsa(self) -> Option<&'static RsaParameters> {
        match self {
            Self::Rs256 => Some(&RSA_PKCS1_2048_8192_SHA256),
            Self::Rs384 => Some(&RSA_PKCS1_2048_8192_SHA384),
            Self::Rs512 => Some(&RSA_PKCS1_2048_8192_SHA512),
            Self::Ps256 => Some(&RSA_PSS_2048_8192_SHA256),
            Self::Ps384 => Some(&RSA_PSS_2048_8192_SHA384),
            Self::Ps512 => Some(&RSA_PSS_2048_8192_SHA512),
            Self::Es256 | Self::Es384 | Self::EdDsa => None,
        }
    }
}

/// The key is not one that this service verifies with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a public key of a known kind and size")]
pub struct InvalidKey;

/// A public key of an issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenKey(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// Uncompressed point.
    P256(Box<[u8]>),
    P384(Box<[u8]>),
    Ed25519([u8; 32]),
    Rsa {
        n: Box<[u8]>,
        e: Box<[u8]>,
    },
}

impl TokenKey {
    /// P-256 or P-384, by the coordinates' length: 32 or 48 bytes each (RFC 7518, 6.2.1). Whether the point
    /// lies on the curve shows when a signature is verified.
    ///
    /// # Errors
    /// [`InvalidKey`].
    pub fn ec(x: &[u8], y: &[u8]) -> Result<Self, InvalidKey> {
        let point = [&[4], x, y].concat().into_boxed_slice();
        match (x.len(), y.len()) {
            (32, 32) => Ok(Self(Kind::P256(point))),
            (48, 48) => Ok(Self(Kind::P384(point))),
            _ => Err(InvalidKey),
        }
    }

    /// Ed25519 (RFC 8037, 2).
    ///
    /// # Errors
    /// [`InvalidKey`] unless it is 32 bytes.
    pub fn ed25519(x: &[u8]) -> Result<Self, InvalidKey> {
        let x = x.try_into().map_err(|_| InvalidKey)?;
        Ok(Self(Kind::Ed25519(x)))
    }

    /// RSA (RFC 7518, 6.3.1): modulus of 2048 to 4096 bits, exponent odd and at least 65537; both without
    /// leading zeros.
    ///
    /// # Errors
    /// [`InvalidKey`].
    pub fn rsa(n: &[u8], e: &[u8]) -> Result<Self, InvalidKey> {
        let trimmed = |bytes: &[u8]| bytes.first().is_some_and(|first| *first != 0);
        if !MODULUS.contains(&n.len()) || !trimmed(n) || !trimmed(e) || e.len() > 5 {
            return Err(InvalidKey);
        }
        let exponent = e
            .iter()
            .fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
        if exponent < EXPONENT_MIN || exponent % 2 == 0 {
            return Err(InvalidKey);
        }
        Ok(Self(Kind::Rsa {
            n: n.into(),
            e: e.into(),
        }))
    }

    /// Whether `algorithm` works with keys of this kind.
    #[must_use]
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        match self.0 {
            Kind::P256(_) => algorithm == Algorithm::Es256,
            Kind::P384(_) => algorithm == Algorithm::Es384,
            Kind::Ed25519(_) => algorithm == Algorithm::EdDsa,
            Kind::Rsa { .. } => algorithm.rsa().is_some(),
        }
    }

    /// The signature must be this key's, by `algorithm`, over exactly these bytes. ECDSA signatures are r and
    /// s, one after the other, of fixed length (RFC 7518, 3.4); both halves of s are taken, as issuers make both.
    ///
    /// # Errors
    /// [`BadSignature`], also when key and algorithm do not fit.
    pub fn verify(
        &self,
        algorithm: Algorithm,
        bytes: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        if !self.fits(algorithm) {
            return Err(BadSignature);
        }
        let plain = |with: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(with, key)
                .verify(bytes, signature)
                .map_err(|_| BadSignature)
        };
        match &self.0 {
            Kind::P256(point) => plain(&ECDSA_P256_SHA256_FIXED, point),
            Kind::P384(point) => plain(&ECDSA_P384_SHA384_FIXED, point),
            Kind::Ed25519(key) => plain(&ED25519, key),
            Kind::Rsa { n, e } => {
                let parameters = algorithm.rsa().ok_or(BadSignature)?;
                RsaPublicKeyComponents { n, e }
                    .verify(parameters, bytes, signature)
                    .map_err(|_| BadSignature)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::BASE64URL_NOPAD;

    fn raw(text: &str) -> Vec<u8> {
        BASE64URL_NOPAD.decode(text.as_bytes()).unwrap()
    }

    #[test]
    fn names_are_exact_and_none_is_none() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::parse(algorithm.as_str()), Some(*algorithm));
            let lower = algorithm.as_str().to_lowercase();
            assert_eq!(Algorithm::parse(&lower), None);
        }
        for bad in [
            "none", "None", "HS256", "HS384", "HS512", "", "ES256K", "ES512",
        ] {
            assert_eq!(Algorithm::parse(bad), None);
        }
    }

    /// RFC 7515, appendix A.3: ES256.
    #[test]
    fn rfc_7515_es256() {
        let key = TokenKey::ec(
            &raw("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"),
            &raw("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"),
        )
        .unwrap();
        let signed = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature = raw(
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        );
        key.verify(Algorithm::Es256, signed.as_bytes(), &signature)
            .unwrap();
        let mut other = signature.clone();
        other[5] ^= 1;
        assert!(
            key.verify(Algorithm::Es256, signed.as_bytes(), &other)
                .is_err()
        );
        for algorithm in Algorithm::ALL {
            let verified = key.verify(*algorithm, signed.as_bytes(), &signature);
            assert_eq!(verified.is_ok(), *algorithm == Algorithm::Es256);
        }
        assert!(
            key.verify(Algorithm::Es256, signed.as_bytes(), &[0; 64])
                .is_err()
        );
    }

    /// RFC 7515, appendix A.2: RS256.
    #[test]
    fn rfc_7515_rs256() {
        let n = raw(concat!(
            "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yR",
            "T-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQ",
            "OS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8",
            "q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
        ));
        let key = TokenKey::rsa(&n, &[1, 0, 1]).unwrap();
        let signed = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature = raw(concat!(
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJ",
            "dbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN",
            "9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXL",
            "IhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
        ));
        key.verify(Algorithm::Rs256, signed.as_bytes(), &signature)
            .unwrap();
        for algorithm in Algorithm::ALL {
            let verified = key.verify(*algorithm, signed.as_bytes(), &signature);
            assert_eq!(verified.is_ok(), *algorithm == Algorithm::Rs256);
        }
    }

    /// RFC 8037, appendix A.4: Ed25519.
    #[test]
    fn rfc_8037_eddsa() {
        let key = TokenKey::ed25519(&raw("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")).unwrap();
        let signed = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature = raw(
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        );
        key.verify(Algorithm::EdDsa, signed.as_bytes(), &signature)
            .unwrap();
        assert!(key.verify(Algorithm::EdDsa, b"other", &signature).is_err());
    }

    #[test]
    fn weak_and_malformed_keys_are_refused() {
        assert!(TokenKey::ec(&[1; 32], &[1; 31]).is_err());
        assert!(TokenKey::ec(&[1; 66], &[1; 66]).is_err());
        assert!(TokenKey::ed25519(&[1; 31]).is_err());
        let n = [0xFF; 256];
        assert!(TokenKey::rsa(&n, &[1, 0, 1]).is_ok());
        for e in [&[3][..], &[1], &[1, 0, 0], &[0, 1, 0, 1], &[], &[1; 6]] {
            assert!(TokenKey::rsa(&n, e).is_err(), "{e:?}");
        }
        assert!(TokenKey::rsa(&[0xFF; 255], &[1, 0, 1]).is_err());
        assert!(TokenKey::rsa(&[0xFF; 513], &[1, 0, 1]).is_err());
        assert!(TokenKey::rsa(&[0; 256], &[1, 0, 1]).is_err());
    }
}
