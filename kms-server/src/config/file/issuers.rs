//! `[[issuers]]`, key by key. What is missing, contradictory or useless stops the start and is named.

use super::super::bounds::{Places, Problem, duration, required, word};
use super::super::issuer::{Binding, Grant, Issuer, KeySource};
use kms_core::cipher::jws::Algorithm;
use kms_core::name::PrincipalName;
use kms_core::policy::role::Role;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// More issuers than any CRM has.
const ISSUERS_MAX: usize = 16;
const GRANTS_MAX: usize = 256;
/// Longest text that is compared with a claim.
const TEXT_MAX: usize = 512;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct IssuerTable {
    name: Option<String>,
    issuer: Option<String>,
    audience: Option<String>,
    algorithms: Option<Vec<String>>,
    jwks_file: Option<String>,
    jwks_url: Option<String>,
    jwks_ca: Option<String>,
    clock_skew: Option<String>,
    lifetime_max: Option<String>,
    binding: Option<String>,
    grants: Option<Vec<GrantTable>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct GrantTable {
    subject: Option<String>,
    scopes: Option<Vec<String>>,
    claims: Option<BTreeMap<String, String>>,
    principal: Option<String>,
    roles: Option<Vec<String>>,
    attributes: Option<BTreeMap<String, String>>,
}

pub(in crate::config) fn issuers(
    tables: Vec<IssuerTable>,
    places: Places<'_>,
) -> Result<Vec<Issuer>, Problem> {
    if tables.len() > ISSUERS_MAX {
        let problem = format!("are {}, must be at most {ISSUERS_MAX}", tables.len());
        return Err(Problem::new("issuers", problem));
    }
    let (mut names, mut urls) = (BTreeSet::new(), BTreeSet::new());
    let mut issuers = Vec::new();
    for table in tables {
        let issuer = issuer(table, places)?;
        let key = |name: &str| format!("issuers.{}.{name}", issuer.name);
        if !names.insert(issuer.name.clone()) {
            return Err(Problem::new(&key("name"), "stands twice"));
        }
        if !urls.insert(issuer.issuer.clone()) {
            return Err(Problem::new(&key("issuer"), "is another issuer's too"));
        }
        issuers.push(issuer);
    }
    Ok(issuers)
}

fn issuer(table: IssuerTable, places: Places<'_>) -> Result<Issuer, Problem> {
    const MINUTE: Duration = Duration::from_secs(60);
    const DAY: Duration = Duration::from_hours(24);
    let name = required("issuers.name", table.name)?;
    if !is_label(&name) {
        let problem = format!("is {name:?}, must be 1 to 32 of a-z, 0-9 and '-'");
        return Err(Problem::new("issuers.name", problem));
    }
    let key = |word: &str| format!("issuers.{name}.{word}");
    let text = |word: &str, value: Option<String>| {
        let value = required(&key(word), value)?;
        claim_text(&key(word), value)
    };
    let binding = [
        ("required", Binding::Required),
        ("optional", Binding::Optional),
    ];
    let source = (table.jwks_file, table.jwks_url, table.jwks_ca);
    Ok(Issuer {
        issuer: text("issuer", table.issuer)?,
        audience: text("audience", table.audience)?,
        algorithms: algorithms(&key("algorithms"), table.algorithms)?,
        keys: key_source(&key, source, places)?,
        clock_skew: duration(
            &key("clock_skew"),
            table.clock_skew.as_deref(),
            MINUTE / 2,
            Duration::ZERO..=MINUTE,
        )?,
        lifetime_max: duration(
            &key("lifetime_max"),
            table.lifetime_max.as_deref(),
            DAY,
            MINUTE..=DAY * 7,
        )?,
        binding: word(
            &key("binding"),
            table.binding.as_deref(),
            &binding,
            Binding::Required,
        )?,
        grants: grants(&key("grants"), table.grants.unwrap_or_default())?,
        name,
    })
}

fn is_label(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=32).contains(&text.len()) && text.bytes().all(fits)
}

fn claim_text(key: &str, text: String) -> Result<String, Problem> {
    let fits = (1..=TEXT_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
    let problem = || format!("must be 1 to {TEXT_MAX} bytes without control characters");
    fits.then_some(text)
        .ok_or_else(|| Problem::new(key, problem()))
}

fn algorithms(key: &str, words: Option<Vec<String>>) -> Result<Vec<Algorithm>, Problem> {
    let words = required(key, words)?;
    if words.is_empty() {
        return Err(Problem::new(key, "is empty, must name an algorithm"));
    }
    let parse = |text: String| {
        Algorithm::parse(&text).ok_or_else(|| {
            let known: Vec<_> = Algorithm::ALL.iter().map(|it| it.as_str()).collect();
            let problem = format!("holds {text:?}, must be of {}", known.join(", "));
            Problem::new(key, problem)
        })
    };
    words.into_iter().map(parse).collect()
}

/// File, URL, authority.
type Source = (Option<String>, Option<String>, Option<String>);

fn key_source(
    key: &impl Fn(&str) -> String,
    source: Source,
    places: Places<'_>,
) -> Result<KeySource, Problem> {
    match source {
        (Some(file), None, None) => Ok(KeySource::File(places.path(&key("jwks_file"), &file)?)),
        (None, Some(url), ca) => {
            let ca = places.required(&key("jwks_ca"), ca.as_deref())?;
            if !is_https(&url) {
                let problem = format!("is {url:?}, must be https://HOST[:PORT]/PATH");
                return Err(Problem::new(&key("jwks_url"), problem));
            }
            Ok(KeySource::Https { url, ca })
        }
        (None, None, _) => Err(Problem::new(
            &key("jwks_file"),
            "is missing, and so is jwks_url: give one of the two",
        )),
        _ => Err(Problem::new(
            &key("jwks_file"),
            "stands beside jwks_url or jwks_ca, must stand alone",
        )),
    }
}

/// No user, query or fragment: the URL stands in messages.
pub(super) fn is_https(url: &str) -> bool {
    let Ok(uri) = url.parse::<http::Uri>() else {
        return false;
    };
    let plain = !url.contains(['@', '?', '#']) && url.is_ascii();
    plain && uri.scheme_str() == Some("https") && uri.host().is_some_and(|host| !host.is_empty())
}

fn grants(key: &str, tables: Vec<GrantTable>) -> Result<Vec<Grant>, Problem> {
    if tables.is_empty() {
        return Err(Problem::new(
            key,
            "is missing: its tokens would name nobody",
        ));
    }
    if tables.len() > GRANTS_MAX {
        let problem = format!("are {}, must be at most {GRANTS_MAX}", tables.len());
        return Err(Problem::new(key, problem));
    }
    let one = |(index, table)| grant(&format!("{key}[{index}]"), table);
    tables.into_iter().enumerate().map(one).collect()
}

fn grant(key: &str, table: GrantTable) -> Result<Grant, Problem> {
    let known = [("service", Role::Service)];
    let at = |word: &str| format!("{key}.{word}");
    let name = required(&at("principal"), table.principal)?;
    let principal = PrincipalName::parse_canonical(&name)
        .map_err(|error| Problem::new(&at("principal"), error.to_string()))?;
    let scopes = table.scopes.unwrap_or_default();
    let claims = table.claims.unwrap_or_default();
    let subject = table.subject;
    if subject.is_none() && scopes.is_empty() && claims.is_empty() {
        let problem =
            "names neither subject nor scopes nor claims: every token would be this principal";
        return Err(Problem::new(key, problem));
    }
    if let Some(scope) = scopes.iter().find(|scope| !is_scope(scope)) {
        let problem = format!("holds {scope:?}, must be words without blanks");
        return Err(Problem::new(&at("scopes"), problem));
    }
    let subject = subject
        .map(|subject| claim_text(&at("subject"), subject))
        .transpose()?;
    let roles = table.roles.unwrap_or_default();
    let roles = roles
        .iter()
        .map(|text| word(&at("roles"), Some(text), &known, Role::Service))
        .collect::<Result<Vec<_>, _>>()?;
    if roles.is_empty() {
        return Err(Problem::new(&at("roles"), "is missing, must name a role"));
    }
    let attributes = table.attributes.unwrap_or_default();
    if let Some(name) = attributes.keys().find(|name| !is_label(name)) {
        let problem = format!("holds {name:?}, must be 1 to 32 of a-z, 0-9 and '-'");
        return Err(Problem::new(&at("attributes"), problem));
    }
    Ok(Grant {
        subject,
        scopes,
        claims,
        principal,
        roles,
        attributes,
    })
}

/// A scope token (RFC 6749, 3.3).
fn is_scope(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
    !text.is_empty() && text.len() <= 128 && text.bytes().all(fits)
}

#[cfg(test)]
mod tests;
