//! An issuer's public keys (JWK set, RFC 7517). A key that is not for verifying signatures, of an unknown kind or
//! weak is left out; one whose id stands twice is nobody's.

use super::compact::KID_MAX;
use super::json::Json;
use data_encoding::BASE64URL_NOPAD;
use kms_core::cipher::jws::{Algorithm, TokenKey};

/// Longest document.
pub(super) const SET_MAX: usize = 64 * 1024;
/// Keys of one issuer.
const KEYS_MAX: usize = 64;

/// Members of a private or shared key (RFC 7518, 6.2.2, 6.3.2, 6.4).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// See the module.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct KeySet {
    keys: Vec<Key>,
    /// Entries that were left out.
    pub(super) left_out: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    kid: String,
    // the only one that it may be used with, when it says so
    algorithm: Option<Algorithm>,
    key: TokenKey,
}

impl KeySet {
    /// Reads a set; the error says what is wrong with the document as a whole.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        if bytes.len() > SET_MAX {
            return Err("it is longer than 64 KiB");
        }
        let json = Json::parse(bytes).ok_or("it is no JSON, or a member stands twice in it")?;
        let entries = json.get("keys").and_then(Json::array);
        let entries = entries.ok_or("it holds no list \"keys\"")?;
        if entries.len() > KEYS_MAX {
            return Err("it holds more than 64 keys");
        }
        let read: Vec<Key> = entries.iter().filter_map(Key::read).collect();
        let once = |key: &&Key| read.iter().filter(|other| other.kid == key.kid).count() == 1;
        let keys: Vec<Key> = read.iter().filter(once).cloned().collect();
        Ok(Self {
            left_out: entries.len() - keys.len(),
            keys,
        })
    }

    /// The key of that id, if it may be used with `algorithm`.
    pub(super) fn find(&self, kid: &str, algorithm: Algorithm) -> Option<&TokenKey> {
        let key = self.keys.iter().find(|key| key.kid == kid)?;
        let fits = key.algorithm.is_none_or(|only| only == algorithm);
        (fits && key.key.fits(algorithm)).then_some(&key.key)
    }

    /// Whether there is a key of that id, whatever it may be used with.
    pub(super) fn knows(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid == kid)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

impl Key {
    fn read(json: &Json) -> Option<Self> {
        let text = |name: &str| json.get(name).and_then(Json::text);
        let bytes = |name: &str| BASE64URL_NOPAD.decode(text(name)?.as_bytes()).ok();
        if PRIVATE.iter().any(|name| json.get(name).is_some()) || !is_for_verifying(json) {
            return None;
        }
        let kid = text("kid").filter(|kid| (1..=KID_MAX).contains(&kid.len()))?;
        let algorithm = match json.get("alg") {
            None => None,
            Some(named) => Some(Algorithm::parse(named.text()?)?),
        };
        let key = match (text("kty")?, text("crv")) {
            ("EC", Some("P-256" | "P-384")) => TokenKey::ec(&bytes("x")?, &bytes("y")?),
            ("OKP", Some("Ed25519")) => TokenKey::ed25519(&bytes("x")?),
            ("RSA", None) => TokenKey::rsa(&bytes("n")?, &bytes("e")?),
            _ => return None,
        };
        let key = key.ok()?;
        // a curve's name must not lie about the length of its points
        let (p256, p384) = (key.fits(Algorithm::Es256), key.fits(Algorithm::Es384));
        let honest = match text("crv") {
            Some("P-256") => p256,
            Some("P-384") => p384,
            _ => true,
        };
        honest.then(|| Self {
            kid: kid.to_owned(),
            algorithm,
            key,
        })
    }
}

/// `use` and `key_ops`, where they stand (RFC 7517, 4.2 and 4.3).
fn is_for_verifying(json: &Json) -> bool {
    let for_signatures = json.get("use").is_none_or(|it| it.text() == Some("sig"));
    let verifies = json.get("key_ops").is_none_or(|operations| {
        let operations = operations.array().unwrap_or_default();
        operations.iter().any(|it| it.text() == Some("verify"))
    });
    for_signatures && verifies
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    fn set(keys: &[&str]) -> KeySet {
        KeySet::parse(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes()).unwrap()
    }

    fn ed(more: &str) -> String {
        format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{X}","kid":"a"{more}}}"#)
    }

    #[test]
    fn a_key_is_found_by_id_and_use() {
        let found = set(&[&ed("")]);
        assert!(found.find("a", Algorithm::EdDsa).is_some());
        assert!(found.find("a", Algorithm::Es256).is_none());
        assert!(found.find("A", Algorithm::EdDsa).is_none());
        for good in [
            r#","use":"sig""#,
            r#","alg":"EdDSA""#,
            r#","key_ops":["verify"]"#,
            r#","x5t":"abc""#,
        ] {
            assert!(set(&[&ed(good)]).knows("a"), "{good}");
        }
    }

    #[test]
    fn a_key_of_another_use_is_left_out() {
        for bad in [
            r#","use":"enc""#,
            r#","use":1"#,
            r#","key_ops":["sign"]"#,
            r#","key_ops":[]"#,
            r#","key_ops":"verify""#,
            r#","alg":"HS256""#,
            r#","alg":"none""#,
            r#","alg":null"#,
            r#","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A""#,
        ] {
            let found = set(&[&ed(bad)]);
            assert!(found.is_empty() && found.left_out == 1, "{bad}");
        }
        for bad in [
            format!(r#"{{"kty":"oct","k":"{X}","kid":"a"}}"#),
            format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{X}"}}"#),
            format!(r#"{{"kty":"OKP","crv":"X25519","x":"{X}","kid":"a"}}"#),
            format!(r#"{{"kty":"EC","crv":"P-384","x":"{X}","y":"{X}","kid":"a"}}"#),
            format!(r#"{{"kty":"EC","crv":"secp256k1","x":"{X}","y":"{X}","kid":"a"}}"#),
            format!(r#"{{"kty":"RSA","n":"{X}","e":"AQAB","kid":"a"}}"#),
            "7".to_owned(),
        ] {
            assert!(set(&[&bad]).is_empty(), "{bad}");
        }
    }

    #[test]
    fn an_id_that_stands_twice_is_nobodys() {
        let other = ed("").replace(r#""kid":"a""#, r#""kid":"b""#);
        let found = set(&[&ed(""), &ed(r#","use":"sig""#), &other]);
        assert!(!found.knows("a") && found.knows("b"));
        assert_eq!(found.left_out, 2);
    }

    #[test]
    fn a_document_that_is_no_set_is_refused() {
        for bad in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#] {
            assert!(KeySet::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        let many = vec![r#"{"kty":"oct"}"#; 65].join(",");
        assert!(KeySet::parse(format!(r#"{{"keys":[{many}]}}"#).as_bytes()).is_err());
        let long = format!(r#"{{"keys":[],"x":"{}"}}"#, "a".repeat(SET_MAX));
        assert!(KeySet::parse(long.as_bytes()).is_err());
    }
}
