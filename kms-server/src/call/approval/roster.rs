//! AddApproverKey, RemoveApproverKey, GetRoster, DeclareRoster.

use super::render;
use crate::call::operation::{At, Marked, Operation, Prepared, Refused, Scene};
use crate::call::parse;
use crate::call::render::{Renderer, timestamp};
use kms_core::audit::{Detail, Outcome};
use kms_core::cipher::ssh_signature::SignerKey;
use kms_core::engine::approval::roster::rules;
use kms_core::engine::approval::statement::etag;
use kms_core::engine::approval::{add_key, declare, remove_key};
use kms_core::engine::{Decision, Refusal, View};
use kms_core::key::record::ApproverRecord;
use kms_core::name::OperatorName;
use kms_core::policy::{Action, ApprovalRules, Authorised, act};
use kms_core::reason::Reason;
use kms_proto::v1;
use std::collections::BTreeMap;

/// Most bytes of a line.
const LINE_MAX: usize = 1_024;

fn shown(with: &Renderer<'_>, name: &OperatorName) -> Option<v1::Approver> {
    let kept = with.snapshot.approvals.approver(name);
    kept.map(|kept| render::approver(&kept.record))
}

/// Enrols a key of one's own.
pub(in crate::call) struct AddKey;

impl Operation for AddKey {
    type Message = v1::AddApproverKeyRequest;
    type Input<'m> = (Authorised<act::AddApproverKey>, SignerKey);
    type Reply = OperatorName;
    type Answer = v1::AddApproverKeyResponse;
    const ACTION: Action = Action::AddApproverKey;

    fn prepare<'m>(
        message: &'m Self::Message,
        at: &At<'_>,
    ) -> Result<Prepared<Self::Input<'m>>, Refused> {
        let authorised = at.authorise(&[])?;
        let form = "a line of OpenSSH: ssh-ed25519, ecdsa-sha2-nistp256, or either as sk-";
        let bounded = Some(&*message.public_key).filter(|line| line.len() <= LINE_MAX);
        let key = bounded.and_then(|line| SignerKey::from_line(line).ok());
        let key = key.ok_or_else(|| Refusal::field("public_key", form))?;
        Ok(Prepared::new(None, (authorised, key)))
    }

    /// A first key too: whose word counts is the roster's affair.
    fn marked(input: &Self::Input<'_>, _: &View<'_>) -> Option<Marked> {
        let name = OperatorName::parse_resource(input.0.principal().as_str()).ok()?;
        Some(Marked {
            action: Self::ACTION,
            etag: etag(&[b"approver", name.as_str().as_bytes()]),
        })
    }

    async fn decide(
        input: &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<Self::Reply>, Refusal> {
        add_key(&scene.view, &scene.moment, &input.0, &input.1)
    }

    fn answer(_: &Self::Message, name: Self::Reply, with: &Renderer<'_>) -> Self::Answer {
        v1::AddApproverKeyResponse {
            approver: shown(with, &name),
        }
    }
}

/// Takes a key away.
pub(in crate::call) struct RemoveKey;

impl Operation for RemoveKey {
    type Message = v1::RemoveApproverKeyRequest;
    type Input<'m> = (Authorised<act::RemoveApproverKey>, OperatorName, &'m str);
    type Reply = OperatorName;
    type Answer = v1::RemoveApproverKeyResponse;
    const ACTION: Action = Action::RemoveApproverKey;

    fn prepare<'m>(
        message: &'m Self::Message,
        at: &At<'_>,
    ) -> Result<Prepared<Self::Input<'m>>, Refused> {
        let authorised = at.authorise(&[])?;
        let name = OperatorName::parse_resource(&message.operator);
        let name = name.map_err(|error| Refusal::field("operator", error.0))?;
        let own = at.principal.name == name.principal();
        if !own
            && !at
                .principal
                .roles
                .contains(kms_core::policy::Role::SecurityAdmin)
        {
            return Err(Reason::Denied.into());
        }
        let input = (authorised, name, message.key_fingerprint.as_str());
        Ok(Prepared::new(None, input))
    }

    async fn decide(
        input: &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<Self::Reply>, Refusal> {
        remove_key(&scene.view, &input.0, (&input.1, input.2))
    }

    fn answer(_: &Self::Message, name: Self::Reply, with: &Renderer<'_>) -> Self::Answer {
        v1::RemoveApproverKeyResponse {
            approver: shown(with, &name),
        }
    }
}

/// Reads all of it.
pub(in crate::call) struct Get;

impl Operation for Get {
    type Message = v1::GetRosterRequest;
    type Input<'m> = Option<OperatorName>;
    type Reply = v1::GetRosterResponse;
    type Answer = v1::GetRosterResponse;
    const ACTION: Action = Action::GetRoster;

    fn prepare<'m>(
        _: &'m Self::Message,
        at: &At<'_>,
    ) -> Result<Prepared<Self::Input<'m>>, Refused> {
        at.authorise::<act::GetRoster>(&[])?;
        let caller = OperatorName::parse_resource(at.principal.name.as_str()).ok();
        Ok(Prepared::new(None, caller))
    }

    async fn decide(
        input: &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<Self::Reply>, Refusal> {
        let (view, caller, now) = (&scene.view, input.as_ref(), scene.moment.now);
        let approvals = &view.snapshot.approvals;
        let approver = |kept: &kms_core::engine::snapshot::Kept<ApproverRecord>| {
            render::approver(&kept.record)
        };
        let declared = approvals.roster.as_ref();
        let reply = v1::GetRosterResponse {
            mode: render::mode_of(view.snapshot, view.latest(now)).into(),
            approvers: approvals.approvers().map(approver).collect(),
            rules: Some(render::table(view, &rules(view, scene.rules, now), caller)),
            configured: Some(render::table(view, scene.rules, caller)),
            declared_at: declared.map(|kept| timestamp(kept.record.declared_at)),
        };
        Ok(Decision::unchanged(
            Self::ACTION,
            Detail::new(Outcome::Ok),
            reply,
        ))
    }

    fn answer(_: &Self::Message, reply: Self::Reply, _: &Renderer<'_>) -> Self::Answer {
        reply
    }
}

/// Takes the configured rules into force.
pub(in crate::call) struct Declare;

fn read_rules(message: &v1::DeclareRosterRequest) -> Result<ApprovalRules, Refusal> {
    let given = message.rules.as_ref();
    let given = given.ok_or_else(|| Refusal::field("rules", "is required"))?;
    let life = given.life.as_ref();
    let life = life.ok_or_else(|| Refusal::field("rules.life", "is required"))?;
    let delay = given.small_team_delay.as_ref();
    let delay = delay.map(|delay| parse::duration(delay, "rules.small_team_delay"));
    let mut rules = ApprovalRules {
        required: BTreeMap::new(),
        life: parse::duration(life, "rules.life")?,
        delay: delay.transpose()?,
    };
    for rule in &given.rules {
        let marked = rules.mark(&rule.action, u64::from(rule.approvers));
        marked.map_err(|problem| Refusal::field("rules.rules", problem))?;
        if rule.reachable != 0 {
            return Err(Refusal::field("rules.rules.reachable", "left out"));
        }
    }
    Ok(rules)
}

impl Operation for Declare {
    type Message = v1::DeclareRosterRequest;
    type Input<'m> = (Authorised<act::DeclareRoster>, ApprovalRules);
    type Reply = ();
    type Answer = v1::DeclareRosterResponse;
    const ACTION: Action = Action::DeclareRoster;

    fn prepare<'m>(
        message: &'m Self::Message,
        at: &At<'_>,
    ) -> Result<Prepared<Self::Input<'m>>, Refused> {
        let authorised = at.authorise(&[])?;
        Ok(Prepared::new(None, (authorised, read_rules(message)?)))
    }

    fn marked(_: &Self::Input<'_>, view: &View<'_>) -> Option<Marked> {
        let roster = view.snapshot.approvals.roster.as_ref();
        let revision = roster.map_or(0, |roster| roster.revision.0);
        Some(Marked {
            action: Self::ACTION,
            etag: etag(&[b"roster", &revision.to_be_bytes()]),
        })
    }

    async fn decide(
        input: &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<Self::Reply>, Refusal> {
        let rules = (&input.1, scene.rules);
        declare(&scene.view, &scene.moment, &input.0, rules)
    }

    fn answer(_: &Self::Message, (): (), with: &Renderer<'_>) -> Self::Answer {
        v1::DeclareRosterResponse {
            mode: render::mode_of(with.snapshot, with.now).into(),
        }
    }
}
