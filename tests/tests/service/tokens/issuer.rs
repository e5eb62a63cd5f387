//! An authorisation server of the test's own: keys, a key set, and tokens with whatever is wrong with them.

use data_encoding::BASE64URL_NOPAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use serde_json::{Value, json};

pub(super) const ISSUER: &str = "https://login.crm.example/";
pub(super) const AUDIENCE: &str = "kms";

pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64URL_NOPAD.encode(bytes.as_ref())
}

/// Two keys: `ed` (Ed25519) and `ec` (P-256).
pub(super) struct Issuer {
    ed: Ed25519KeyPair,
    ec: EcdsaKeyPair,
}

impl Issuer {
    pub(super) fn new() -> Self {
        let random = SystemRandom::new();
        let ed = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let ec = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self {
            ed: Ed25519KeyPair::from_pkcs8(ed.as_ref()).unwrap(),
            ec: EcdsaKeyPair::from_pkcs8(algorithm, ec.as_ref(), &random).unwrap(),
        }
    }

    /// The public keys, and entries that no token may lean on.
    pub(super) fn keys(&self) -> Vec<Value> {
        let point = self.ec.public_key().as_ref();
        let ed = encode(self.ed.public_key());
        let okp = |kid: &str| json!({"kty": "OKP", "crv": "Ed25519", "x": ed, "kid": kid});
        let mut for_encryption = okp("enc");
        for_encryption["use"] = json!("enc");
        let mut for_signing = okp("sign-only");
        for_signing["key_ops"] = json!(["sign"]);
        vec![
            okp("ed"),
            json!({"kty": "EC", "crv": "P-256", "kid": "ec", "use": "sig", "alg": "ES256",
                "x": encode(&point[1..33]), "y": encode(&point[33..])}),
            for_encryption,
            for_signing,
            okp("twice"),
            okp("twice"),
            json!({"kty": "oct", "k": ed, "kid": "shared"}),
        ]
    }

    /// The Ed25519 key as a set's entry under another id.
    pub(super) fn named(&self, kid: &str) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "x": encode(self.public()), "kid": kid})
    }

    pub(super) fn public(&self) -> &[u8] {
        self.ed.public_key().as_ref()
    }

    /// Signs header and claims, given as text, with the Ed25519 key.
    pub(super) fn sign(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = self.ed.sign(signed.as_bytes());
        format!("{signed}.{}", encode(signature))
    }

    pub(super) fn es256(&self, claims: &str) -> String {
        let header = json!({"typ": "at+jwt", "alg": "ES256", "kid": "ec"}).to_string();
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = self.ec.sign(&SystemRandom::new(), signed.as_bytes());
        format!("{signed}.{}", encode(signature.unwrap()))
    }

    pub(super) fn token(&self, claims: &Value) -> String {
        self.sign(&header().to_string(), &claims.to_string())
    }
}

pub(super) fn header() -> Value {
    json!({"typ": "at+jwt", "alg": "EdDSA", "kid": "ed"})
}

/// Good from a minute ago, for ten minutes.
pub(super) fn claims(now: i64) -> Value {
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "crm-web", "client_id": "crm-web", "jti": "1",
        "iat": now - 60, "nbf": now - 60, "exp": now + 600, "scope": "openid kms.use", "tenant": "acme"})
}
