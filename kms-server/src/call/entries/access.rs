//! GetAccess: who could do what at a time. Policies are kept whole; who people and services were then is told by the
//! log. Changes nothing, and says what it cannot know.

mod history;
mod judging;
mod people;

use super::blocking;
use crate::call::lane::Lane;
use crate::call::operation::Refused;
use crate::call::page::bad_token;
use crate::call::road::Incoming;
use crate::call::ticket::Ticket;
use crate::call::{Service, parse};
use crate::live::Live;
use crate::live::state::Held;
use history::History;
use judging::{Judged, Question};
use kms_core::engine::Refusal;
use kms_core::engine::approval::rules_note;
use kms_core::engine::snapshot::{Dataset, ROLE_TABLE};
use kms_core::policy::act;
use kms_core::reason::Reason;
use kms_core::time::Timestamp;
use kms_policies::fingerprint;
use kms_proto::v1;
use people::Somebody;
use std::sync::Arc;

/// Most datasets that are asked about, by name.
const DATASETS_MAX: usize = 1_000;

/// What no answer can say, whatever the time.
const NEVER_KNOWN: [&str; 4] = [
    "principals of access tokens bring their roles with them: who held a token then is not kept",
    "roles given by the configuration are those of today's configuration: that of then is not kept",
    "expired certificates and locked accounts are not looked at: who counts as enabled may have been unable to act",
    "who holds a seal's passphrase, or the machine, stands in no roster",
];

/// What is asked.
struct Wanted {
    at: Timestamp,
    limit: usize,
    /// The last name of the page before.
    after: Option<String>,
    /// Only this one.
    principal: String,
}

impl Service {
    /// The RPC.
    pub(in crate::call) async fn get_access(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        call: &Incoming,
    ) -> Result<v1::GetAccessResponse, Refusal> {
        self.reading::<act::GetAccess, _>(lane, ticket, async |ticket, live| {
            self.access(ticket, call, live).await
        })
        .await
    }

    async fn access(
        &self,
        ticket: &Ticket<'_>,
        call: &Incoming,
        live: &Live,
    ) -> Result<v1::GetAccessResponse, Refused> {
        let message: v1::GetAccessRequest =
            self.allowed_to_read::<act::GetAccess, _>(ticket, call)?;
        let wanted = self.asked(ticket, live, &message)?;
        let audit = self.audit.clone();
        let told = blocking(move || history::read(&audit)).await?;
        let ids = told.entries.iter().filter_map(|told| told.by);
        self.learn_principals(ids, live).await;
        let held = live.state.hold();
        let history = History::new(told, live, &held);
        let everybody = self.everybody(&held, &history, wanted.at);
        let page = everybody.into_iter().filter(|it| wanted.takes(it));
        let question = Question {
            at: wanted.at,
            policies: held.snapshot.policies.at(wanted.at).cloned(),
            datasets: datasets_at(&held, wanted.at),
            people: page.take(wanted.limit + 1).collect(),
        };
        let mut answer = self.framed(&wanted, &held, &history, &question);
        // a restriction waits for whoever holds the snapshot
        drop(held);
        let limit = wanted.limit;
        let judging = tokio::task::spawn_blocking(move || judging::judge(question, limit));
        let Judged { principals, more } = judging.await.map_err(|_| Reason::Internal)?;
        let last = principals.last().filter(|_| more);
        if let Some(last) = last {
            let pager = self.pager(live, ticket);
            answer.next_page_token = pager.token(last.principal.as_bytes());
        }
        answer.principals = principals;
        Ok(answer)
    }

    fn asked(
        &self,
        ticket: &Ticket<'_>,
        live: &Live,
        message: &v1::GetAccessRequest,
    ) -> Result<Wanted, Refusal> {
        let at = message.at_time.as_ref();
        let at = at.ok_or_else(|| Refusal::field("at_time", "is required"))?;
        let at = parse::timestamp(at, "at_time")?;
        if at > ticket.at.time {
            return Err(Refusal::field("at_time", "not in the future"));
        }
        let after = self.pager(live, ticket).position(&message.page_token)?;
        Ok(Wanted {
            at,
            limit: parse::page_size(message.page_size)?,
            after: after
                .map(|after| String::from_utf8(after).map_err(|_| bad_token()))
                .transpose()?,
            principal: message.principal.clone(),
        })
    }

    /// The answer but for its principals.
    fn framed(
        &self,
        wanted: &Wanted,
        held: &Held,
        history: &History,
        question: &Question,
    ) -> v1::GetAccessResponse {
        let mut not_known: Vec<String> = NEVER_KNOWN.map(str::to_owned).into();
        not_known.extend(history.not_known(wanted.at));
        let datasets = question.datasets.len();
        if datasets == DATASETS_MAX {
            not_known.push(format!(
                "only the first {datasets} datasets were asked about"
            ));
        }
        if self.services.is_none() && held.snapshot.services.after(None).next().is_some() {
            not_known.push("the built-in authority is off: what it certified is not listed".into());
        }
        let policies = question.policies.as_deref();
        let shipped = || fingerprint(&kms_policies::shipped());
        let approval_rules = match &held.snapshot.approvals.roster {
            Some(roster) if roster.record.declared_at <= wanted.at => {
                rules_note(&roster.record.rules)
            }
            _ => history.rules_at(wanted.at).unwrap_or_default().to_owned(),
        };
        v1::GetAccessResponse {
            policy_generation: policies.map_or(ROLE_TABLE, |policies| policies.number),
            policy_fingerprint: policies
                .map_or_else(shipped, |policies| policies.fingerprint.to_string()),
            approval_rules,
            changes: match wanted.after {
                None => self.changes(history, wanted.at),
                Some(_) => Vec::new(),
            },
            not_known,
            ..Default::default()
        }
    }
}

impl Wanted {
    fn takes(&self, somebody: &Somebody) -> bool {
        let name = somebody.principal.name.as_str();
        let new = self.after.as_deref().is_none_or(|after| name > after);
        new && (self.principal.is_empty() || self.principal == name)
    }
}

fn datasets_at(held: &Held, at: Timestamp) -> Vec<Arc<Dataset>> {
    let all = held.snapshot.after(None);
    let there = all.filter(|dataset| dataset.record.created_at <= at);
    there.take(DATASETS_MAX).cloned().collect()
}
