//! `kms approval`: what waits for others, and one's own word on it.

mod key;
mod report;
mod sign;

use super::{call, every, present};
use crate::args::Confirmation;
use crate::exit::Failure;
use crate::session::{Session, bare_approval};
use clap::{Args, Subcommand};
use kms_client::proto::v1;
use report::{ApprovalReport, RosterReport};

/// Approvals: what others must say yes to before it is done.
#[derive(Debug, Subcommand)]
pub(crate) enum Approval {
    /// List what waits.
    List {
        /// What is over, too.
        #[arg(long)]
        all: bool,
    },
    /// Show one, with every field of the exact request.
    Show(One),
    /// Show one, and sign it.
    Approve(sign::Approve),
    /// Show an override of the log's anchors (`kms audit override`), and sign it.
    Sign(sign::Sign),
    /// Say no, which is final (to a recovery: once in a week, else together with another).
    Reject {
        #[command(flatten)]
        which: One,
        /// Why.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Take back what you asked for.
    Cancel(One),
    /// The keys with which people approve.
    #[command(subcommand)]
    Key(key::Key),
    /// Show who can approve, what needs it, and what happens when nobody does.
    Roster,
    /// Take the configured rules into force; the first time, declare the roster.
    Declare(Declare),
}

/// One approval.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// Its id.
    #[arg(value_name = "ID")]
    id: String,
}

/// `kms approval declare`.
#[derive(Debug, Args)]
pub(crate) struct Declare {
    #[command(flatten)]
    confirmation: Confirmation,
}

impl One {
    fn name(&self) -> String {
        format!("approvals/{}", bare_approval(&self.id))
    }
}

/// An answer that holds an approval.
macro_rules! approval {
    ($session:expr, $method:ident, $request:expr) => {{
        let answer = call!($session, once approval_service_client::ApprovalServiceClient.$method, $request)?;
        present(answer.approval)?
    }};
}
use approval;

impl Approval {
    /// Runs it.
    ///
    /// # Errors
    /// The service's; what cannot be shown or signed.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List { all } => list(session, all).await,
            Self::Show(which) => {
                let shown = get(session, &which).await?;
                let understood = sign::understand(&which, &shown)?;
                session.show(&ApprovalReport::new(&shown, Some(&understood)))
            }
            Self::Approve(approve) => approve.run(session).await,
            Self::Sign(sign) => sign.run(session),
            Self::Reject { which, reason } => {
                let name = which.name();
                let request = v1::RejectApprovalRequest {
                    name,
                    reason,
                    validate_only: false,
                };
                let shown = approval!(session, reject_approval, request);
                session.show(&ApprovalReport::new(&shown, None))
            }
            Self::Cancel(which) => {
                let name = which.name();
                let request = v1::CancelApprovalRequest {
                    name,
                    validate_only: false,
                };
                let shown = approval!(session, cancel_approval, request);
                session.show(&ApprovalReport::new(&shown, None))
            }
            Self::Key(key) => key.run(session).await,
            Self::Roster => session.show(&RosterReport::new(roster(session).await?)),
            Self::Declare(declare) => declare.run(session).await,
        }
    }
}

async fn get(session: &Session, which: &One) -> Result<v1::Approval, Failure> {
    let name = which.name();
    let request = v1::GetApprovalRequest { name };
    let answer =
        call!(session, repeat approval_service_client::ApprovalServiceClient.get_approval, request);
    present(answer?.approval)
}

async fn roster(session: &Session) -> Result<v1::GetRosterResponse, Failure> {
    let request = v1::GetRosterRequest {};
    call!(session, repeat approval_service_client::ApprovalServiceClient.get_roster, request)
}

async fn list(session: &Session, all: bool) -> Result<(), Failure> {
    let request = v1::ListApprovalsRequest {
        all,
        ..Default::default()
    };
    let approvals = every!(
        session,
        approval_service_client::ApprovalServiceClient.list_approvals,
        request,
        approvals
    )?;
    let reports = approvals.iter();
    let reports: Vec<_> = reports
        .map(|approval| ApprovalReport::new(approval, None))
        .collect();
    session.show(&reports)
}

impl Declare {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let mut rules = present(roster(session).await?.configured)?;
        for rule in &mut rules.rules {
            rule.reachable = 0;
        }
        session.show(&report::RulesReport::new(&rules))?;
        session.agree_to("Take these rules into force?", "roster", &self.confirmation)?;
        let rules = Some(rules);
        let request = v1::DeclareRosterRequest {
            rules,
            validate_only: false,
        };
        let answer = call!(session, once approval_service_client::ApprovalServiceClient.declare_roster, request)?;
        session.note(&format!("in force; mode {}", report::mode(answer.mode())));
        Ok(())
    }
}
