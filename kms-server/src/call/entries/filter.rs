//! What a reader asks for, in the log's terms: names become the ids that stand in entries. Holds every limit of the
//! filters' fields; a name that the log cannot know lets nothing pass, and is no error.

use super::Held;
use crate::audit_log::Filter;
use crate::call::operation::Refused;
use crate::call::{Service, parse};
use crate::live::Live;
use crate::store::{ReadError, Records};
use kms_core::audit::Outcome;
use kms_core::engine::{Refusal, ScopeRequest, resolve_scope};
use kms_core::key::record::{Record, RecordKey};
use kms_core::name::{PrincipalName, SecretId, VersionNumber};
use kms_core::policy::Action;
use kms_core::reason::Reason;
use kms_proto::v1;
use v1::shred_secret_selector::By;

/// Most secrets of one scope that are followed, one after the other.
const SUCCESSIONS_MAX: usize = 64;

/// The filters of a request.
pub(super) struct Wanted<'m> {
    pub(super) principal: &'m str,
    pub(super) dataset: &'m str,
    pub(super) version: u32,
    pub(super) action: &'m str,
    pub(super) outcome: &'m str,
    pub(super) from_time: Option<&'m prost_types::Timestamp>,
    pub(super) to_time: Option<&'m prost_types::Timestamp>,
    pub(super) secret: Option<&'m v1::ShredSecretSelector>,
}

impl<'m> Wanted<'m> {
    pub(super) fn listed(message: &'m v1::ListEntriesRequest) -> Self {
        Self {
            principal: &message.principal,
            dataset: &message.dataset,
            version: message.version,
            action: &message.action,
            outcome: &message.outcome,
            from_time: message.from_time.as_ref(),
            to_time: message.to_time.as_ref(),
            secret: message.shred_secret.as_ref(),
        }
    }

    pub(super) fn summarized(message: &'m v1::SummarizeEntriesRequest) -> Self {
        Self {
            principal: &message.principal,
            dataset: &message.dataset,
            version: message.version,
            action: &message.action,
            outcome: &message.outcome,
            from_time: message.from_time.as_ref(),
            to_time: message.to_time.as_ref(),
            secret: message.shred_secret.as_ref(),
        }
    }
}

fn outcome(text: &str) -> Result<Outcome, Refusal> {
    if text == "OK" {
        return Ok(Outcome::Ok);
    }
    let known = Reason::ALL.iter().find(|reason| reason.as_str() == text);
    let known = known.ok_or_else(|| Refusal::field("outcome", "OK or a reason"))?;
    Ok(Outcome::Refused(*known))
}

fn action(text: &str) -> Result<Action, Refusal> {
    let known = Action::ALL.iter().find(|action| action.as_str() == text);
    known
        .copied()
        .ok_or_else(|| Refusal::field("action", "an action's name"))
}

/// What `read` makes of a text that is not empty.
fn given<T>(
    text: &str,
    read: impl FnOnce(&str) -> Result<T, Refusal>,
) -> Result<Option<T>, Refusal> {
    (!text.is_empty()).then(|| read(text)).transpose()
}

impl Service {
    /// `None`: nothing can pass, because the log cannot know the name.
    pub(super) async fn filter(
        &self,
        wanted: &Wanted<'_>,
        live: &Live,
        held: &Held,
    ) -> Result<Option<Filter>, Refused> {
        let principal = given(wanted.principal, |text| {
            let name = PrincipalName::parse(text);
            let name = name.map_err(|e| Refusal::field("principal", e.0))?;
            let id = live.keys.directory.principal_id(&name);
            // asked for by name, so it can be shown by name
            self.scribe.names.know_principal(id, name);
            Ok(id)
        })?;
        let name = given(wanted.dataset, |text| parse::dataset(text, "dataset"))?;
        let version = VersionNumber::new(wanted.version);
        if version.is_some() && name.is_none() {
            return Err(Refusal::field("version", "together with a dataset").into());
        }
        let mut filter = Filter {
            principal,
            dataset: None,
            action: given(wanted.action, action)?,
            outcome: given(wanted.outcome, outcome)?,
            version,
            secrets: None,
            from_time: wanted
                .from_time
                .map(|time| parse::timestamp(time, "from_time"))
                .transpose()?,
            to_time: wanted
                .to_time
                .map(|time| parse::timestamp(time, "to_time"))
                .transpose()?,
        };
        if let Some(name) = name {
            let Some(dataset) = held.snapshot.by_name(&name) else {
                return Ok(None);
            };
            filter.dataset = Some(dataset.record.key_id);
        }
        if let Some(selector) = wanted.secret {
            let Some(ids) = self.secrets(selector, live, held).await? else {
                return Ok(None);
            };
            let months = live.state.months().into_iter();
            let hashes = months.map(|keys| {
                let hashes = ids.iter().map(|id| keys.secret_hash(*id));
                (keys.month(), hashes.collect())
            });
            filter.secrets = Some(hashes.collect());
        }
        Ok(Some(filter))
    }

    /// The secret of an id; of a scope its present secret and those that it succeeds, which are the same person's.
    async fn secrets(
        &self,
        selector: &v1::ShredSecretSelector,
        live: &Live,
        held: &Held,
    ) -> Result<Option<Vec<SecretId>>, Refused> {
        let named = match &selector.by {
            None => return Err(Refusal::field("shred_secret", "a scope or an id").into()),
            Some(By::Id(id)) => return Ok(Some(vec![parse::secret_id(id, "shred_secret.id")?])),
            Some(By::Scope(named)) => named,
        };
        let request = ScopeRequest {
            kind: parse::secret_kind(named.kind, "shred_secret.scope.kind")?,
            account: &named.account,
            name: &named.name,
            class: &named.retention_class,
        };
        let scope = resolve_scope(None, request, self.clock.now());
        let scope = scope.map_err(|refusal| refusal.within("shred_secret"))?;
        let gathered = live.gather(held, std::slice::from_ref(&scope), &[]).await?;
        let found = gathered.by_scope.get(&scope).and_then(Option::as_ref);
        let Some(newest) = found.map(|named| named.entry.id) else {
            return Ok(None);
        };
        let records = live.records.clone();
        let followed = tokio::task::spawn_blocking(move || predecessors(&records, newest)).await;
        let followed = followed.map_err(|_| Reason::Internal)?;
        Ok(Some(followed.map_err(|error| {
            tracing::error!(%error, "a shred secret's record cannot be read");
            Reason::StoreUnavailable
        })?))
    }
}

/// `newest` and the secrets that it succeeds, newest first.
fn predecessors(records: &Records, newest: SecretId) -> Result<Vec<SecretId>, ReadError> {
    let mut all = vec![newest];
    let mut last = newest;
    while all.len() < SUCCESSIONS_MAX {
        let stored = records.get(&RecordKey::shred(last))?;
        let Some(Record::Shred(record)) = stored.and_then(|stored| stored.record) else {
            break;
        };
        let Some(earlier) = record.succeeds else {
            break;
        };
        all.push(earlier);
        last = earlier;
    }
    Ok(all)
}
