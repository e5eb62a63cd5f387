//! What is read of a request before its body: content type, deadline, trace id, encoding, size.
//! Headers that claim an identity (forwarded certificates) are never read, here or anywhere.

use crate::call::road::Credentials;
use data_encoding::BASE64URL_NOPAD;
use http::{HeaderMap, header};
use kms_core::cipher::sha256;
use kms_core::name::ApprovalId;
use std::time::Duration;
use zeroize::Zeroizing;

/// Characters of a session's token.
const TOKEN_TEXT_LEN: usize = 43;
/// Most bytes of a code.
const CODE_MAX: usize = 64;

/// Content types of gRPC-Web, binary and base64 text.
const WEB_TYPES: [&str; 4] = [
    "application/grpc-web",
    "application/grpc-web+proto",
    "application/grpc-web-text",
    "application/grpc-web-text+proto",
];

/// What a request's content type says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// gRPC over HTTP/2.
    Grpc,
    /// gRPC-Web.
    Web,
    /// Neither.
    Other,
}

/// By content type; exact, as the protocols write it.
#[must_use]
pub(super) fn dialect(headers: &HeaderMap) -> Dialect {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Dialect::Other;
    };
    match value.as_bytes() {
        b"application/grpc" | b"application/grpc+proto" => Dialect::Grpc,
        other if WEB_TYPES.iter().any(|known| known.as_bytes() == other) => Dialect::Web,
        _ => Dialect::Other,
    }
}

/// The value of `grpc-timeout`: 1 to 8 digits and a unit (gRPC over HTTP/2, "Requests").
///
/// # Errors
/// `Err` when the header is there, but not exactly once in that form.
pub(super) fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Malformed> {
    let mut values = headers.get_all("grpc-timeout").iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Malformed);
    }
    let (unit, digits) = value.as_bytes().split_last().ok_or(Malformed)?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Malformed);
    }
    let count = digits
        .iter()
        .fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    Ok(Some(match unit {
        b'H' => Duration::from_secs(count * 3_600),
        b'M' => Duration::from_secs(count * 60),
        b'S' => Duration::from_secs(count),
        b'm' => Duration::from_millis(count),
        b'u' => Duration::from_micros(count),
        b'n' => Duration::from_nanos(count),
        _ => return Err(Malformed),
    }))
}

/// An operator's session and code, the approval that is used, or an enrolment token, where the head has them in their form:
/// each at most once. What is not in its form is none: who sends it is told to log in, or nobody.
#[must_use]
pub(super) fn credentials(headers: &HeaderMap) -> Option<Credentials> {
    let session = single(headers, kms_proto::SESSION_METADATA).and_then(token_hash);
    let code = single(headers, kms_proto::CODE_METADATA).filter(|code| code.len() <= CODE_MAX);
    let approval = single(headers, kms_proto::APPROVAL_METADATA);
    let approval = approval.and_then(|name| str::from_utf8(name).ok());
    let approval = approval.and_then(|name| ApprovalId::parse_resource(name).ok());
    let enrolment = single(headers, kms_proto::ENROLMENT_METADATA);
    let enrolment = enrolment.filter(|token| token.len() <= CODE_MAX);
    let text = |bytes: &[u8]| {
        str::from_utf8(bytes)
            .ok()
            .map(|it| Zeroizing::new(it.to_owned()))
    };
    let (code, enrolment) = (code.and_then(text), enrolment.and_then(text));
    (session.is_some() || code.is_some() || enrolment.is_some() || approval.is_some()).then_some(
        Credentials {
            session,
            code,
            enrolment,
            approval,
        },
    )
}

fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.as_bytes())
}

/// Of the 32 bytes that base64url stands for.
fn token_hash(text: &[u8]) -> Option<[u8; 32]> {
    let mut bytes = Zeroizing::new([0; 32]);
    if text.len() != TOKEN_TEXT_LEN {
        return None;
    }
    BASE64URL_NOPAD.decode_mut(text, &mut *bytes).ok()?;
    Some(sha256(&[&*bytes]))
}

/// The header is there, but not in its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// The trace id of `traceparent` (W3C Trace Context, 3.2, version 00); `None` when absent or not
/// in that form, as the recommendation has it.
#[must_use]
pub(super) fn trace_id(headers: &HeaderMap) -> Option<[u8; 16]> {
    let value = headers.get("traceparent")?.as_bytes();
    let [b'0', b'0', b'-', rest @ ..] = value else {
        return None;
    };
    let (trace, rest) = rest.split_first_chunk::<32>()?;
    let [b'-', rest @ ..] = rest else {
        return None;
    };
    let (parent, rest) = rest.split_first_chunk::<16>()?;
    let [b'-', flags @ ..] = rest else {
        return None;
    };
    let id = hex::<16>(trace)?;
    (hex::<8>(parent)? != [0; 8] && hex::<1>(flags).is_some() && id != [0; 16]).then_some(id)
}

fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    data_encoding::HEXLOWER.decode_mut(text, &mut bytes).ok()?;
    Some(bytes)
}

/// The body is not compressed as a whole; `identity` is no compression.
#[must_use]
pub(super) fn is_uncompressed(headers: &HeaderMap) -> bool {
    headers
        .get_all("grpc-encoding")
        .iter()
        .all(|value| value.as_bytes() == b"identity")
}

/// Size of a header list as HTTP/2 counts it (RFC 9113, 6.5.2).
#[must_use]
pub(super) fn size(headers: &HeaderMap) -> usize {
    headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 32)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn with(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        headers
    }

    #[test]
    fn timeouts() {
        for (text, micros) in [
            ("1S", 1_000_000),
            ("00000001M", 60_000_000),
            ("99999999H", 359_999_996_400_000_000),
            ("5m", 5_000),
            ("7u", 7),
            ("3000n", 3),
            ("0S", 0),
        ] {
            let wanted = Some(Duration::from_micros(micros));
            assert_eq!(timeout(&with("grpc-timeout", text)), Ok(wanted), "{text}");
        }
        assert_eq!(timeout(&HeaderMap::new()), Ok(None));
        for bad in [
            "",
            "S",
            "1",
            "1s",
            "-1S",
            "+1S",
            " 1S",
            "1S ",
            "1.5S",
            "123456789S",
            "1SS",
            "0x1S",
            "1 S",
            "\u{661}S",
        ] {
            assert_eq!(timeout(&with("grpc-timeout", bad)), Err(Malformed), "{bad}");
        }
        let mut twice = with("grpc-timeout", "1S");
        twice.append("grpc-timeout", HeaderValue::from_static("1S"));
        assert_eq!(timeout(&twice), Err(Malformed));
    }

    #[test]
    fn trace_ids() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let id = trace_id(&with("traceparent", good)).unwrap();
        assert_eq!((id[0], id[15]), (0x0a, 0x9c));
        for bad in [
            "",
            "00",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "00-0af7651916cd43dd8448eb211c80319cb7ad6b7169203331-01",
        ] {
            assert!(trace_id(&with("traceparent", bad)).is_none(), "{bad}");
        }
    }

    #[test]
    fn content_types_are_exact() {
        for (text, wanted) in [
            ("application/grpc", Dialect::Grpc),
            ("application/grpc+proto", Dialect::Grpc),
            ("application/grpc-web-text+proto", Dialect::Web),
            ("application/grpc+json", Dialect::Other),
            ("application/grpc-webx", Dialect::Other),
            ("text/html", Dialect::Other),
        ] {
            assert_eq!(dialect(&with("content-type", text)), wanted, "{text}");
        }
        assert_eq!(dialect(&HeaderMap::new()), Dialect::Other);
    }

    #[test]
    fn a_session_is_32_bytes_once_and_a_code_is_short() {
        let token = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let given = credentials(&with("kms-session", token)).unwrap();
        assert_eq!(given.session, Some(sha256(&[&[0; 32]])));
        assert!(given.code.is_none());
        let given = credentials(&with("kms-totp", "123 456")).unwrap();
        assert_eq!(
            given.code.as_ref().map(|code| code.as_str()),
            Some("123 456")
        );
        let mut twice = with("kms-session", token);
        twice.append("kms-session", HeaderValue::from_static(token));
        assert!(credentials(&twice).is_none());
        for bad in [
            "",
            "A",
            "AAAA=",
            &"A".repeat(44),
            &"!".repeat(43),
            &"B".repeat(43),
        ] {
            assert!(credentials(&with("kms-session", bad)).is_none(), "{bad}");
        }
        assert!(credentials(&with("kms-totp", &"1".repeat(65))).is_none());
        assert!(credentials(&HeaderMap::new()).is_none());
    }

    #[test]
    fn only_identity_is_uncompressed() {
        assert!(is_uncompressed(&HeaderMap::new()));
        assert!(is_uncompressed(&with("grpc-encoding", "identity")));
        assert!(!is_uncompressed(&with("grpc-encoding", "gzip")));
    }
}
