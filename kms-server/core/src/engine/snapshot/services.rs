//! Services and desks as calls see them. Few, so all of them are in memory.

use crate::key::record::{Record, Revision, ServiceRecord, Stored, Tree};
use crate::name::{Purpose, ServiceName};
use std::sync::Arc;

/// A service or desk as stored.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its record.
    pub record: Arc<ServiceRecord>,
    /// The record's revision.
    pub revision: Revision,
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub struct Services {
    by_name: imbl::OrdMap<ServiceName, Service>,
    by_token: imbl::HashMap<[u8; 32], ServiceName>,
    /// A record was found damaged or put back from an older copy: none of them is taken.
    pub quarantined: bool,
}

impl Services {
    /// By name; revoked ones too.
    #[must_use]
    pub fn get(&self, name: &ServiceName) -> Option<&Service> {
        self.by_name.get(name)
    }

    /// The one whose enrolment token has this hash.
    #[must_use]
    pub fn by_token(&self, hash: &[u8; 32]) -> Option<&Service> {
        let name = self.by_token.get(hash)?;
        self.get(name).filter(|_| !self.quarantined)
    }

    /// Whether a certificate counts: its name and purpose as its principal says, its hash.
    #[must_use]
    pub fn takes(&self, purpose: Purpose, name: &str, sha256: &[u8; 32]) -> bool {
        let found = self.by_name.get(name).filter(|_| !self.quarantined);
        found.is_some_and(|it| it.record.purpose == purpose && it.record.takes(sha256))
    }

    /// Whether somebody of that name and purpose is there and not revoked.
    #[must_use]
    pub fn knows(&self, purpose: Purpose, name: &str) -> bool {
        use crate::key::record::ServiceState::Open;
        let found = self.by_name.get(name).filter(|_| !self.quarantined);
        found.is_some_and(|it| it.record.purpose == purpose && it.record.state == Open)
    }

    /// All, by name, from after `after`.
    pub fn after<'a>(&'a self, after: Option<&ServiceName>) -> impl Iterator<Item = &'a Service> {
        use std::ops::Bound;
        let from = after.map_or(Bound::Unbounded, |name| Bound::Excluded(name.clone()));
        self.by_name
            .range((from, Bound::Unbounded))
            .map(|(_, service)| service)
    }

    /// Takes over what lies in its tree; the rest comes back.
    pub(super) fn apply(&mut self, stored: Stored) -> Option<Stored> {
        let revision = stored.revision;
        match (stored.key.tree, stored.record) {
            (Tree::Service, Some(Record::Service(record))) => {
                let name = record.name.clone();
                let old = self.get(&name).and_then(|old| old.record.token.clone());
                if let Some(old) = old {
                    self.by_token.remove(&old.hash);
                }
                if let Some(token) = &record.token {
                    self.by_token.insert(token.hash, name.clone());
                }
                let record = Arc::new(record);
                self.by_name.insert(name, Service { record, revision });
                None
            }
            (_, record) => Some(Stored {
                key: stored.key,
                revision,
                record,
            }),
        }
    }
}
