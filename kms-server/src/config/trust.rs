//! What of the configuration says who is who, as one document that people can approve and that can be read back when the
//! files say something else: authorities of client certificates, principals, issuers of tokens.

use super::bounds::Places;
use super::file::{IssuerTable, issuers, principals};
use super::issuer::{Issuer, KeySource};
use kms_core::policy::role::RoleTable;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What the configuration says, and where its paths start.
#[derive(Debug, Clone, Default)]
pub struct TrustSettings {
    /// The tables, as they stand in the file.
    pub(super) tables: Tables,
    /// Authorities of the issuers' servers, PEM, by the issuer's name.
    pub(super) issuer_authorities: BTreeMap<String, String>,
    pub(super) directory: PathBuf,
    pub(super) credentials: Option<PathBuf>,
}

/// The part of the file that is meant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tables {
    #[serde(default)]
    pub(super) dev_mode: bool,
    #[serde(default)]
    pub(super) principals: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub(super) issuers: Vec<serde_json::Value>,
}

#[derive(Serialize, Deserialize)]
struct Document {
    #[serde(flatten)]
    tables: Tables,
    issuer_authorities: BTreeMap<String, String>,
    client_ca: Vec<String>,
}

/// A document, read.
#[derive(Debug)]
pub struct WhoIsWho {
    /// Certificates to principals' roles.
    pub principals: RoleTable,
    /// Whose tokens are taken.
    pub issuers: Vec<Issuer>,
    /// Authorities of client certificates, PEM.
    pub client_ca: String,
}

impl TrustSettings {
    /// Whether the file says that this is a development installation.
    #[must_use]
    pub const fn development(&self) -> bool {
        self.tables.dev_mode
    }

    /// The document, with these authorities of client certificates (PEM). The same configuration gives the same bytes.
    #[must_use]
    pub fn document(&self, client_ca: &str) -> String {
        let document = Document {
            tables: self.tables.clone(),
            issuer_authorities: self.issuer_authorities.clone(),
            client_ca: client_ca.lines().map(str::to_owned).collect(),
        };
        // maps of text: nothing in it can fail
        serde_json::to_string_pretty(&document).unwrap_or_default()
    }

    /// Reads a document that was approved. An issuer whose server's authorities are no longer those of the document is
    /// left out: its keys would come from somebody whom nobody approved.
    ///
    /// # Errors
    /// What in it cannot be read.
    pub fn read(&self, document: &str) -> Result<WhoIsWho, String> {
        let document: Document = serde_json::from_str(document).map_err(|it| it.to_string())?;
        let tables: Result<Vec<IssuerTable>, _> = document
            .tables
            .issuers
            .into_iter()
            .map(serde_json::from_value)
            .collect();
        let places = Places {
            directory: &self.directory,
            credentials: self.credentials.as_deref(),
        };
        let issuers = issuers(tables.map_err(|error| error.to_string())?, places);
        let mut issuers = issuers.map_err(|problem| problem.problem)?;
        issuers.retain(|issuer| {
            let same =
                authorities(issuer) == document.issuer_authorities.get(&issuer.name).cloned();
            if !same {
                tracing::error!(
                    issuer = issuer.name,
                    "its server's authorities are not those approved"
                );
            }
            same
        });
        let principals = principals(document.tables.principals);
        Ok(WhoIsWho {
            principals: principals.map_err(|problem| problem.problem)?,
            issuers,
            client_ca: document.client_ca.join("\n"),
        })
    }
}

/// PEM of whom an issuer's server is known by; `None` where its keys lie in a file, or that one cannot be read.
pub(super) fn authorities(issuer: &Issuer) -> Option<String> {
    match &issuer.keys {
        KeySource::Https { ca, .. } => std::fs::read_to_string(ca).ok(),
        KeySource::File(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_reads_back_and_says_the_same_again() {
        let settings = TrustSettings {
            tables: Tables {
                principals: [("spiffe://a/b".to_owned(), vec!["service".to_owned()])].into(),
                ..Tables::default()
            },
            issuer_authorities: BTreeMap::new(),
            directory: PathBuf::from("/etc/kms"),
            credentials: None,
        };
        let document = settings.document("-----BEGIN\nabc\n");
        let read = settings.read(&document).unwrap();
        assert_eq!(read.principals.roles.len(), 1);
        assert_eq!(read.client_ca, "-----BEGIN\nabc");
        assert_eq!(settings.document(&read.client_ca), document);
        assert!(settings.read("{}").is_err());
    }
}
