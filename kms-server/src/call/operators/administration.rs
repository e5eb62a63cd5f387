//! AddOperator, ListOperators, and the changes of one operator by another.

use super::{rendered, roles};
use crate::call::operation::{At, Marked, Operation, Prepared, Refused, Scene};
use crate::call::page::Page;
use crate::call::render::Renderer;
use kms_core::audit::{Detail, Outcome};
use kms_core::engine::approval::statement::etag;
use kms_core::engine::operator::administration::Token;
use kms_core::engine::operator::{
    NewOperator, OperatorChange, add_operator, change_operator, refused_detail,
};
use kms_core::engine::{Decision, Refusal, Snapshot, View};
use kms_core::key::record::{OperatorState, Record};
use kms_core::name::OperatorName;
use kms_core::policy::{Action, Authorised, Circumstances, act};
use kms_core::reason::Reason;
use kms_proto::v1;

fn named(text: &str) -> Result<OperatorName, Refusal> {
    OperatorName::parse_resource(text).map_err(|error| Refusal::field("name", error.0))
}

/// Of an operator approvers see roles and state: what logging in changes is no matter of theirs, so nobody gets
/// out of a removal by logging in.
fn operator_etag(view: &View<'_>, name: &OperatorName) -> [u8; 32] {
    let operator = view.snapshot.operators.get(name);
    let seen = operator.map(|operator| {
        let record = &operator.record;
        let state = match record.state {
            OperatorState::Enabled => 1,
            OperatorState::Disabled { .. } => 2,
            OperatorState::Removed { .. } => 3,
        };
        let made = record.created_at.as_micros().to_be_bytes();
        [&record.roles.to_be_bytes()[..], &[state], &made].concat()
    });
    let name = name.as_str().as_bytes();
    etag(&[b"operator", name, &seen.unwrap_or_default()])
}

fn marked(action: Action, view: &View<'_>, name: &OperatorName) -> Marked {
    Marked {
        action,
        etag: operator_etag(view, name),
    }
}

fn shown(with: &Renderer<'_>, name: &OperatorName) -> Option<v1::Operator> {
    with.snapshot.operators.get(name).map(rendered)
}

/// Makes an operator.
pub(in crate::call) struct Add;

impl Operation for Add {
    type Message = v1::AddOperatorRequest;
    type Input<'m> = (Authorised<act::AddOperator>, NewOperator);
    type Reply = (OperatorName, Token);
    type Answer = v1::AddOperatorResponse;
    const ACTION: Action = Action::AddOperator;

    fn prepare<'m>(
        message: &'m Self::Message,
        at: &At<'_>,
    ) -> Result<Prepared<Self::Input<'m>>, Refused> {
        let authorised = at.authorise(&[])?;
        let name = OperatorName::parse(&message.operator_id);
        let new = NewOperator {
            name: name.map_err(|error| Refusal::field("operator_id", error.0))?,
            roles: roles(&message.roles)?,
        };
        Ok(Prepared::new(None, (authorised, new)))
    }

    fn describe(input: &Self::Input<'_>, _: &Snapshot) -> Option<Detail> {
        Some(refused_detail(&input.1.name, &Reason::Internal.into()))
    }

    fn marked(input: &Self::Input<'_>, view: &View<'_>) -> Option<Marked> {
        Some(marked(Self::ACTION, view, &input.1.name))
    }

    async fn decide(
        input: &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<Self::Reply>, Refusal> {
        add_operator(&scene.view, &scene.moment, &input.0, &input.1)
    }

    fn answer(_: &Self::Message, (name, token): Self::Reply, with: &Renderer<'_>) -> Self::Answer {
        v1::AddOperatorResponse {
            operator: shown(with, &name),
            enrolment_token: token.to_string(),
        }
    }
}

/// Lists operators by name.
pub(in crate::call) struct List;

impl Operation for List {
    type Message = v1::ListOperatorsRequest;
    type Input<'m> = Page<OperatorName>;
    type Reply = (Vec<OperatorName>, bool);
    type Answer = v1::ListOperatorsResponse;
    const ACTION: Action = Action::ListOperators;

    fn prepare<'m>(
        message: &'m Self::Message,
        at: &At<'_>,
    ) -> Result<Prepared<Self::Input<'m>>, Refused> {
        at.authorise::<act::ListOperators>(&[])?;
        let asked = (&*message.page_token, message.page_size);
        let page = Page::of_names(&at.pager, asked, OperatorName::parse)?;
        Ok(Prepared::new(None, page))
    }

    async fn decide(
        page: &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<Self::Reply>, Refusal> {
        let rest = scene.view.snapshot.operators.after(page.after.as_ref());
        Ok(Decision::unchanged(
            Self::ACTION,
            Detail::new(Outcome::Ok),
            page.take(rest.map(|operator| operator.record.name.clone())),
        ))
    }

    fn answer(_: &Self::Message, (page, more): Self::Reply, with: &Renderer<'_>) -> Self::Answer {
        v1::ListOperatorsResponse {
            next_page_token: with
                .pager
                .next(&page, more, |name| name.as_str().as_bytes()),
            operators: page.iter().filter_map(|name| shown(with, name)).collect(),
        }
    }
}

/// Whom the policies in force let put others into force is not only a matter of roles.
fn leaves_policies_to_somebody<R>(scene: &Scene<'_>, decision: &Decision<R>) -> Result<(), Reason> {
    let writes = decision.change.iter().flat_map(|change| &change.writes);
    let mut changed = writes.filter_map(|write| match &write.record {
        Some(Record::Operator(record)) => Some(record),
        _ => None,
    });
    let here = Circumstances {
        source: None,
        now: scene.moment.now,
    };
    let operators = &scene.view.snapshot.operators;
    if changed.all(|record| scene.in_force.keeps_somebody(operators, record, &here)) {
        return Ok(());
    }
    Err(Reason::LastAdministrator)
}

macro_rules! changes {
    ($($(#[$doc:meta])* $operation:ident $action:ident $request:ident $response:ident
        ($message:ident) $change:expr, ($token:ident) { $($field:ident: $value:expr),* };)+) => {$(
        $(#[$doc])*
        pub(in crate::call) struct $operation;

        impl Operation for $operation {
            type Message = v1::$request;
            type Input<'m> = (Authorised<act::$action>, OperatorName, OperatorChange);
            type Reply = (OperatorName, Option<Token>);
            type Answer = v1::$response;
            const ACTION: Action = Action::$action;

            fn prepare<'m>(
                $message: &'m Self::Message,
                at: &At<'_>,
            ) -> Result<Prepared<Self::Input<'m>>, Refused> {
                let authorised = at.authorise(&[])?;
                let name = named(&$message.name)?;
                Ok(Prepared::new(None, (authorised, name, $change)))
            }

            fn describe(input: &Self::Input<'_>, _: &Snapshot) -> Option<Detail> {
                Some(refused_detail(&input.1, &Reason::Internal.into()))
            }

            fn marked(input: &Self::Input<'_>, view: &View<'_>) -> Option<Marked> {
                Some(marked(Self::ACTION, view, &input.1))
            }

            async fn decide(
                input: &Self::Input<'_>,
                scene: &Scene<'_>,
            ) -> Result<Decision<Self::Reply>, Refusal> {
                let (view, moment) = (&scene.view, &scene.moment);
                let decision = change_operator(view, moment, &input.0, &input.1, input.2)?;
                leaves_policies_to_somebody(scene, &decision)?;
                Ok(decision)
            }

            fn answer(
                _: &Self::Message,
                (name, $token): Self::Reply,
                with: &Renderer<'_>,
            ) -> Self::Answer {
                v1::$response {
                    operator: shown(with, &name),
                    $($field: $value),*
                }
            }
        }
    )+};
}

changes! {
    /// May no longer act.
    Disable DisableOperator DisableOperatorRequest DisableOperatorResponse
        (message) OperatorChange::Disable, (_token) {};
    /// May act again.
    Enable EnableOperator EnableOperatorRequest EnableOperatorResponse
        (message) OperatorChange::Enable, (_token) {};
    /// Never again.
    Remove RemoveOperator RemoveOperatorRequest RemoveOperatorResponse
        (message) OperatorChange::Remove, (_token) {};
    /// Failed attempts no longer count.
    Unlock UnlockOperator UnlockOperatorRequest UnlockOperatorResponse
        (message) OperatorChange::Unlock, (_token) {};
    /// Loses the authenticator, may enrol again.
    ResetMfa ResetOperatorMfa ResetOperatorMfaRequest ResetOperatorMfaResponse
        (message) OperatorChange::ResetMfa,
        (token) { enrolment_token: token.map(|token| token.to_string()).unwrap_or_default() };
    /// Has other roles.
    SetRoles SetOperatorRoles SetOperatorRolesRequest SetOperatorRolesResponse
        (message) OperatorChange::SetRoles(roles(&message.roles)?), (_token) {};
}
