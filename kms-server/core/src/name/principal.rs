//! Canonical names of principals: the two forms that certificates carry, each with one spelling only. What
//! cannot be told apart by eye or by a careless comparison is no name.

use super::{InvalidName, PrincipalName};

impl PrincipalName {
    /// The canonical form of a service's or person's name, exactly: a SPIFFE id or a host name in lower case.
    ///
    /// # Errors
    /// [`InvalidName`] with the form; also for a name that only means the same as a canonical one.
    pub fn parse_canonical(text: &str) -> Result<Self, InvalidName> {
        let name = Self::from_spiffe_id(text).or_else(|| Self::from_host(text));
        name.filter(|name| name.as_str() == text).ok_or(InvalidName(
            "a principal's name: spiffe://trust-domain/path, or a host name in lower case",
        ))
    }

    /// A SPIFFE ID of a workload (SPIFFE-ID, section 2): lower-case scheme and trust domain, a path of
    /// one or more segments; no user, port, query, fragment, percent sign, empty or dot segment.
    #[must_use]
    pub fn from_spiffe_id(uri: &str) -> Option<Self> {
        let (domain, path) = uri.strip_prefix("spiffe://")?.split_once('/')?;
        let domain_ok = (1..=255).contains(&domain.len())
            && domain.bytes().all(|b| {
                b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-')
            });
        let path_ok = path.split('/').all(|segment| {
            !matches!(segment, "" | "." | "..")
                && segment
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        });
        if domain_ok && path_ok {
            Self::parse(uri).ok()
        } else {
            None
        }
    }

    /// A host name (RFC 1123, 2.1), put in lower case; without wildcard and final dot.
    #[must_use]
    pub fn from_host(host: &str) -> Option<Self> {
        let label_ok = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if host.len() <= 253 && host.split('.').all(label_ok) {
            Self::parse(&host.to_ascii_lowercase()).ok()
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spiffe_ids_are_strict() {
        for good in [
            "spiffe://crm.example/service/contacts",
            "spiffe://a/b",
            "spiffe://crm_1.example-2/A.b_c-d/..x",
        ] {
            assert_eq!(PrincipalName::from_spiffe_id(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "spiffe://",
            "spiffe://crm.example",
            "spiffe://crm.example/",
            "spiffe:///service",
            "SPIFFE://crm.example/service",
            "spiffe://CRM.example/service",
            "spiffe://user@crm.example/service",
            "spiffe://crm.example:443/service",
            "spiffe://crm.example/service/",
            "spiffe://crm.example//service",
            "spiffe://crm.example/./service",
            "spiffe://crm.example/../service",
            "spiffe://crm.example/service?x",
            "spiffe://crm.example/service#x",
            "spiffe://crm.example/serv%69ce",
            "spiffe://crm.example/serv ice",
            "spiffe://crm.example/s\u{e9}rvice",
            "https://crm.example/service",
            " spiffe://crm.example/service",
            "spiffe://crm.example/service\0",
        ] {
            assert!(PrincipalName::from_spiffe_id(bad).is_none(), "{bad:?}");
        }
        let long = format!("spiffe://a/{}", "b".repeat(502));
        assert!(PrincipalName::from_spiffe_id(&long).is_none());
        let long_domain = format!("spiffe://{}/b", "a".repeat(256));
        assert!(PrincipalName::from_spiffe_id(&long_domain).is_none());
    }

    #[test]
    fn host_names_are_single_hosts_in_lower_case() {
        assert_eq!(
            PrincipalName::from_host("Contacts.CRM.example")
                .unwrap()
                .as_str(),
            "contacts.crm.example"
        );
        let long = format!("{}.example", "a".repeat(64));
        for bad in [
            "",
            ".",
            "*.example",
            "a..b",
            "a.",
            "-a.b",
            "a-.b",
            "a_b.c",
            "a b",
            "spiffe://a/b",
            long.as_str(),
        ] {
            assert!(PrincipalName::from_host(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn there_is_one_spelling_of_a_name() {
        for good in ["spiffe://crm.example/service/web", "web.crm.example", "web"] {
            assert_eq!(PrincipalName::parse_canonical(good).unwrap().as_str(), good);
        }
        for bad in [
            "Web.crm.example",
            "web.crm.example.",
            "spiffe://CRM.example/service/web",
            "spiffe://crm.example/service/web/",
            "kms:internal",
            "",
        ] {
            assert!(PrincipalName::parse_canonical(bad).is_err(), "{bad:?}");
        }
    }
}
