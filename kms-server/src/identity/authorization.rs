//! The `authorization` metadata of a call, as it came. Holds no decision, and is never shown: whoever reads a
//! token can use it.

use http::{HeaderMap, HeaderValue, header};
use std::fmt;

/// Longest token: with its frame it fits into the least limit of headers that anybody sets.
pub const TOKEN_MAX: usize = 8 * 1024;

/// What a call says of its right to be made.
#[derive(Clone, Default)]
pub enum Authorization {
    /// Nothing: the connection's certificate speaks alone.
    #[default]
    None,
    /// `Bearer` and a token (RFC 6750, 2.1), not looked at yet.
    Bearer(HeaderValue),
    /// Not exactly one value of that form.
    Malformed,
}

const SCHEME: &[u8] = b"Bearer ";

impl Authorization {
    /// From a call's metadata. The scheme's case does not matter (RFC 9110, 11.1), everything else does.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let Some(value) = values.next() else {
            return Self::None;
        };
        let bytes = value.as_bytes();
        let (scheme, token) = bytes.split_at(SCHEME.len().min(bytes.len()));
        let fits = scheme.eq_ignore_ascii_case(SCHEME)
            && (1..=TOKEN_MAX).contains(&token.len())
            && values.next().is_none();
        if fits {
            Self::Bearer(value.clone())
        } else {
            Self::Malformed
        }
    }

    /// The token's bytes, when there is one.
    #[must_use]
    pub fn token(&self) -> Option<&[u8]> {
        match self {
            Self::Bearer(value) => value.as_bytes().get(SCHEME.len()..),
            Self::None | Self::Malformed => None,
        }
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Bearer(_) => "Bearer(<redacted>)",
            Self::Malformed => "Malformed",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Authorization {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        Authorization::read(&headers)
    }

    #[test]
    fn one_bearer_token_and_nothing_else() {
        assert!(matches!(read(&[]), Authorization::None));
        for good in ["Bearer a.b.c", "bearer a.b.c", "BEARER a.b.c"] {
            assert_eq!(read(&[good]).token(), Some(&b"a.b.c"[..]));
        }
        let long = format!("Bearer {}", "a".repeat(TOKEN_MAX + 1));
        for bad in [
            "",
            "Bearer",
            "Bearer ",
            "Basic YTpi",
            "Bearera.b.c",
            "a.b.c",
            &long,
        ] {
            assert!(matches!(read(&[bad]), Authorization::Malformed), "{bad:?}");
        }
        let two = read(&["Bearer a.b.c", "Bearer a.b.c"]);
        assert!(matches!(two, Authorization::Malformed));
    }

    #[test]
    fn debug_shows_no_token() {
        assert!(!format!("{:?}", read(&["Bearer a.b.c"])).contains("a.b"));
    }
}
