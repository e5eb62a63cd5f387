//! Names of what the built-in authority certifies: services, and desks from which operators log in. A certificate's
//! name is made from the record, never from what a request says.

use super::{InvalidName, PrincipalName, is_short_name};
use std::borrow::Borrow;

/// The name of a service or desk: `[a-z][a-z0-9.-]{0,62}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(Box<str>);

impl ServiceName {
    /// The exact form only.
    ///
    /// # Errors
    /// [`InvalidName`] with the form.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if is_short_name(text) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName(
                "a service's name of the form [a-z][a-z0-9.-]{0,62}",
            ))
        }
    }

    /// From the resource name `services/{service}`.
    ///
    /// # Errors
    /// [`InvalidName`] with the form.
    pub fn parse_resource(text: &str) -> Result<Self, InvalidName> {
        let name = text.strip_prefix("services/").ok_or(InvalidName(
            "a resource name of the form services/{service}",
        ))?;
        Self::parse(name)
    }

    /// The bare name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `services/{service}`.
    #[must_use]
    pub fn resource(&self) -> String {
        format!("services/{}", self.0)
    }
}

impl Borrow<str> for ServiceName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// What a certificate of the built-in authority is for. Numbers stand in records and never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Purpose {
    /// A service of the CRM.
    Service = 1,
    /// A machine from which operators log in.
    Desk = 2,
}

impl Purpose {
    /// From its number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Service),
            2 => Some(Self::Desk),
            _ => None,
        }
    }

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Desk => "desk",
        }
    }
}

/// The trust domain (SPIFFE-ID, 2.1) of the built-in authority. Principals below `/service/` and `/desk/` are its own:
/// nobody else's certificate, token or configuration makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustDomain(Box<str>);

impl TrustDomain {
    /// Lower case, digits, `.`, `_` and `-`; at most 128 bytes, so that every principal's name fits.
    ///
    /// # Errors
    /// [`InvalidName`] with the form.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let fits =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
        if (1..=128).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName("a trust domain of a-z, 0-9, '.', '_' and '-'"))
        }
    }

    /// The bare name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The principal that a service or desk is.
    #[must_use]
    pub fn principal(&self, purpose: Purpose, name: &ServiceName) -> PrincipalName {
        let kind = purpose.as_str();
        PrincipalName(format!("spiffe://{}/{kind}/{}", self.0, name.0).into())
    }

    /// What `principal` is for, and its name, when it is one of the authority's own. The name may be anybody's: only a
    /// record says that it exists.
    #[must_use]
    pub fn own<'a>(&self, principal: &'a PrincipalName) -> Option<(Purpose, &'a str)> {
        let path = principal.as_str().strip_prefix("spiffe://")?;
        let path = path.strip_prefix(&*self.0)?.strip_prefix('/')?;
        let (kind, name) = path.split_once('/')?;
        match kind {
            "service" => Some((Purpose::Service, name)),
            "desk" => Some((Purpose::Desk, name)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_form() {
        for good in ["web", "a", "web-1.eu", &"a".repeat(63)] {
            assert_eq!(ServiceName::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "Web",
            "1web",
            "-web",
            "we_b",
            "web/x",
            "web\0",
            &"a".repeat(64),
        ] {
            assert!(ServiceName::parse(bad).is_err(), "{bad:?}");
        }
        let web = ServiceName::parse_resource("services/web").unwrap();
        assert_eq!(web.resource(), "services/web");
        assert!(ServiceName::parse_resource("web").is_err());
        for bad in ["", "CRM", "crm/x", "crm:1", &"a".repeat(129)] {
            assert!(TrustDomain::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn principals_lead_back_to_names_and_are_spiffe_ids() {
        let domain = TrustDomain::parse("crm.example").unwrap();
        let web = ServiceName::parse("web").unwrap();
        for purpose in [Purpose::Service, Purpose::Desk] {
            let principal = domain.principal(purpose, &web);
            let same = PrincipalName::from_spiffe_id(principal.as_str());
            assert_eq!(same.as_ref(), Some(&principal));
            assert_eq!(domain.own(&principal), Some((purpose, "web")));
            assert_eq!(Purpose::from_number(purpose as u8), Some(purpose));
        }
        for other in [
            "spiffe://crm.example.evil/service/web",
            "spiffe://crm.exampl/service/web",
            "spiffe://crm.example/other/web",
            "spiffe://crm.example/service",
            "crm.example",
        ] {
            let principal = PrincipalName::parse(other).unwrap();
            assert_eq!(domain.own(&principal), None, "{other}");
        }
        // whatever lies below the two paths is the authority's own, known or not
        let deeper = PrincipalName::parse("spiffe://crm.example/service/a/b").unwrap();
        assert_eq!(domain.own(&deeper), Some((Purpose::Service, "a/b")));
    }
}
