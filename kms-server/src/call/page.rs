//! Pages, and their tokens: opaque, bound to the caller and the method, authenticated, so that nobody reads or makes
//! one.

use data_encoding::BASE64URL_NOPAD;
use kms_core::cipher::{HashKey, constant_time_eq, label};
use kms_core::engine::Refusal;
use kms_core::name::PrincipalName;

use super::parse::page_size;

const TAG_LEN: usize = 16;
/// Longest token that is looked at.
const TOKEN_MAX: usize = 512;

/// Whose token it is.
#[derive(Clone, Copy)]
pub(super) struct Pager<'a> {
    /// Keys the tag.
    pub key: &'a HashKey,
    /// The method's name.
    pub method: &'a str,
    /// Who reads.
    pub principal: &'a PrincipalName,
}

impl Pager<'_> {
    fn tag(&self, position: &[u8]) -> [u8; 32] {
        let principal = self.principal.as_str().as_bytes();
        let len = u32::try_from(principal.len())
            .unwrap_or(u32::MAX)
            .to_be_bytes();
        let method_len = u32::try_from(self.method.len())
            .unwrap_or(u32::MAX)
            .to_be_bytes();
        self.key.hash(&[
            label::PAGE_TOKEN,
            &method_len,
            self.method.as_bytes(),
            &len,
            principal,
            position,
        ])
    }

    /// The token for what comes after `position`.
    pub(super) fn token(&self, position: &[u8]) -> String {
        let tag = self.tag(position);
        let tag = tag.get(..TAG_LEN).unwrap_or(&tag);
        BASE64URL_NOPAD.encode(&[tag, position].concat())
    }

    /// The token for what comes after the last of `page`, if there is more; empty if not.
    pub(super) fn next<T>(&self, page: &[T], more: bool, position: impl Fn(&T) -> &[u8]) -> String {
        let last = page.last().filter(|_| more);
        last.map(|last| self.token(position(last)))
            .unwrap_or_default()
    }

    /// The position in a token; `None` for the first page.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for a token that is not this caller's for this method.
    pub(super) fn position(&self, token: &str) -> Result<Option<Vec<u8>>, Refusal> {
        if token.is_empty() {
            return Ok(None);
        }
        if token.len() > TOKEN_MAX {
            return Err(bad_token());
        }
        let bytes = BASE64URL_NOPAD
            .decode(token.as_bytes())
            .map_err(|_| bad_token())?;
        let (tag, position) = bytes.split_at_checked(TAG_LEN).ok_or_else(bad_token)?;
        let expected = self.tag(position);
        if !constant_time_eq(tag, expected.get(..TAG_LEN).unwrap_or(&expected)) {
            return Err(bad_token());
        }
        Ok(Some(position.to_vec()))
    }
}

/// A token that is no token of the last answer.
pub(super) fn bad_token() -> Refusal {
    Refusal::field("page_token", "a token from the last answer, unchanged")
}

/// Where a page begins and what it holds, of things listed by `N`.
#[derive(Debug)]
pub(super) struct Page<N> {
    /// The last of the page before.
    pub after: Option<N>,
    /// At most so many.
    pub size: usize,
}

impl<N> Page<N> {
    /// Reads a request for a page of things listed by name.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for a token that is not this caller's for this method, or a size out of bounds.
    pub(super) fn of_names<E>(
        pager: &Pager<'_>,
        (token, size): (&str, i32),
        parse: impl FnOnce(&str) -> Result<N, E>,
    ) -> Result<Self, Refusal> {
        let after = match pager.position(token)? {
            None => None,
            Some(position) => {
                let name = std::str::from_utf8(&position).map_err(|_| bad_token())?;
                Some(parse(name).map_err(|_| bad_token())?)
            }
        };
        let size = page_size(size)?;
        Ok(Self { after, size })
    }

    /// Takes the page off what comes after its begin; whether there is more.
    pub(super) fn take<T>(&self, mut rest: impl Iterator<Item = T>) -> (Vec<T>, bool) {
        let page = rest.by_ref().take(self.size).collect();
        (page, rest.next().is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_caller_and_method_only() {
        let key = HashKey::new(&[1; 32]);
        let web = PrincipalName::parse("spiffe://crm.example/service/web").unwrap();
        let ada = PrincipalName::parse("spiffe://crm.example/auditor/ada").unwrap();
        let pager = Pager {
            key: &key,
            method: "ListDatasets",
            principal: &web,
        };
        let token = pager.token(b"customers");
        assert_eq!(pager.position(&token).unwrap().unwrap(), b"customers");
        assert_eq!(pager.position("").unwrap(), None);
        let other = Pager {
            principal: &ada,
            ..pager
        };
        assert!(other.position(&token).is_err());
        let other = Pager {
            method: "ListVersions",
            ..pager
        };
        assert!(other.position(&token).is_err());
        for i in 0..token.len() {
            let mut bad = token.clone().into_bytes();
            bad[i] = if bad[i] == b'A' { b'B' } else { b'A' };
            assert!(pager.position(std::str::from_utf8(&bad).unwrap()).is_err());
        }
    }
}
