//! People and what they did: accounts, second factors, approvals, destruction. Which actions belong to which list is said
//! by their names, so that actions of later versions find their place.

use crate::command::audit::entry::EntryReport;
use crate::command::audit::exposure::count::{Counted, Row};
use crate::command::audit::list::{Filter, entries};
use crate::command::audit::report::facts::{Events, Operator, Span};
use crate::command::every;
use crate::exit::Failure;
use crate::session::Session;
use kms_client::proto::v1;
use std::collections::BTreeSet;

/// Most entries shown of one sort.
const EVENTS_MAX: usize = 60;

/// Actions on accounts and second factors; logins are counted, not listed.
pub(super) fn is_of_people(action: &str) -> bool {
    let about = ["Operator", "Enrolment", "Password"];
    about.iter().any(|word| action.contains(word)) && !action.starts_with("List")
}

/// Actions by which some give their word for what others do.
pub(super) fn is_of_approvals(action: &str) -> bool {
    let about = ["Approv", "Proposal"];
    about.iter().any(|word| action.contains(word))
        && !action.starts_with("List")
        && !action.starts_with("Get")
}

/// Actions after which something is gone, or that stop or permit that.
pub(super) fn is_of_destruction(action: &str) -> bool {
    let about = [
        "Destroy",
        "Destruction",
        "RestoreVersion",
        "Block",
        "Unblock",
        "LiftDeletionProtection",
        "Hold",
        "Anonymis",
        "Prune",
    ];
    about.iter().any(|word| action.contains(word))
}

/// The newest entries of the actions that `belongs` names and that the log has any of.
///
/// # Errors
/// The service's.
pub(super) async fn events(
    session: &Session,
    span: Span,
    counted: &Counted,
    belongs: impl Fn(&str) -> bool,
) -> Result<Events, Failure> {
    let of = counted.rows.iter().filter(|row| belongs(&row.action));
    let actions: BTreeSet<_> = of.clone().map(|row| row.action.clone()).collect();
    let mut found = Vec::new();
    for action in actions {
        let filter = Filter {
            action: Some(action),
            from: Some(span.from),
            to: Some(span.to),
            ..Filter::default()
        };
        let request = v1::ListEntriesRequest {
            newest_first: true,
            ..filter.request()
        };
        let (newest, _) =
            entries(session, request, EVENTS_MAX, |entry| entry.kind == "call").await?;
        found.extend(newest);
    }
    found.sort_by_key(|entry| std::cmp::Reverse(entry.sequence));
    found.truncate(EVENTS_MAX);
    Ok(Events {
        count: of.map(|row| row.entries).sum(),
        newest: found.iter().map(EntryReport::from).collect(),
    })
}

/// Logins, codes and unsealing, over all days. A login's principal is the certificate: who it was is only known when it is
/// over.
pub(super) fn sessions(counted: &Counted) -> Vec<Row> {
    const OF_SESSIONS: [&str; 4] = ["Login", "Logout", "AcceptCode", "Unseal"];
    let rows = counted.rows.iter();
    over_all_days(rows.filter(|row| OF_SESSIONS.contains(&row.action.as_str())))
}

/// Rows of all days as one.
pub(super) fn over_all_days<'r>(rows: impl Iterator<Item = &'r Row>) -> Vec<Row> {
    let mut all = Counted::default();
    for row in rows {
        all.put(Row {
            span: None,
            ..row.clone()
        });
    }
    all.rows.sort_by_key(|row| std::cmp::Reverse(row.items));
    all.rows
}

/// All operators, with how much they did.
///
/// # Errors
/// The service's.
pub(super) async fn operators(
    session: &Session,
    counted: &Counted,
) -> Result<Vec<Operator>, Failure> {
    let request = v1::ListOperatorsRequest::default();
    let listed = every!(
        session,
        auth_service_client::AuthServiceClient.list_operators,
        request,
        operators
    )?;
    Ok(listed.iter().map(|one| operator(one, counted)).collect())
}

fn operator(operator: &v1::Operator, counted: &Counted) -> Operator {
    let own = counted
        .rows
        .iter()
        .filter(|row| row.principal == operator.name);
    let state = operator.state().as_str_name();
    Operator {
        name: operator.name.clone(),
        roles: operator.roles.clone(),
        state: state.trim_start_matches("OPERATOR_STATE_").to_lowercase(),
        acts: own.map(|row| row.entries).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_find_their_list() {
        for action in [
            "AddOperator",
            "ResetOperatorMfa",
            "BeginEnrolment",
            "ChangePassword",
        ] {
            assert!(is_of_people(action), "{action}");
        }
        for action in [
            "DestroyShredSecret",
            "DueDestruction",
            "BlockShredSecret",
            "LiftDeletionProtection",
        ] {
            assert!(is_of_destruction(action), "{action}");
        }
        for action in ["ListOperators", "GenerateDataKey", "RotateDataset"] {
            assert!(
                !is_of_people(action) && !is_of_destruction(action) && !is_of_approvals(action)
            );
        }
    }
}
