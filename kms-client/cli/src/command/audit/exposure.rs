//! `kms audit exposure`: what somebody could have read, or who could have read something: the first question of a breach.
//! Counts what the log holds, and says what the log cannot know.

pub(super) mod count;

use crate::args::Form;
use crate::args::value;
use crate::command::call;
use crate::command::clock::proto_time;
use crate::exit::{Failure, printable};
use crate::output::{self, Report, Table, brief};
use crate::session::Session;
use clap::{ArgGroup, Args};
use count::Counted;
use jiff::Timestamp;
use kms_client::DatasetName;
use kms_client::proto::v1;
use serde::Serialize;
use v1::shred_secret_selector::By;

/// Actions by which a key or a plaintext leaves the service.
const RELEASES: [&str; 3] = ["GenerateDataKey", "UnwrapDataKey", "Decrypt"];
/// What clients say of data keys that they remembered.
const CACHED: &str = "ReportCachedUses";

/// What a principal could have read, or who could have read a dataset, a version or a person.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("about").required(true).multiple(true).args(["principal", "dataset", "subject"]))]
#[command(after_help = "\
Examples:
  kms audit exposure --principal spiffe://crm.example/service/web --from 2026-11-01
  kms audit exposure --dataset customers --version 3
  kms audit exposure --subject jane@example.com --account acme --class customer")]
pub(crate) struct Exposure {
    /// What this principal could have read.
    #[arg(long, value_name = "NAME")]
    principal: Option<String>,
    /// Who could have read this dataset.
    #[arg(long, value_parser = value::dataset)]
    dataset: Option<DatasetName>,
    /// Only what this version of the dataset's key opened.
    #[arg(long, value_name = "NUMBER", requires = "dataset", value_parser = clap::value_parser!(u32).range(1..))]
    version: Option<u32>,
    /// Who could have read this person's data; as far back as the months' keys exist.
    #[arg(long, value_name = "NAME", requires = "class")]
    subject: Option<String>,
    /// The account that the person belongs to.
    #[arg(long, value_name = "NAME", requires = "subject")]
    account: Option<String>,
    /// Retention class of the person's secret.
    #[arg(long, value_name = "CLASS", value_parser = value::retention_class, requires = "subject")]
    class: Option<String>,
    /// From this time on: 2026-11-24, 2026-11-24T06:00:00Z, or 2h (that long ago).
    #[arg(long, value_name = "TIME", value_parser = value::moment)]
    from: Option<Timestamp>,
    /// Until this time.
    #[arg(long, value_name = "TIME", value_parser = value::moment)]
    to: Option<Timestamp>,
}

impl Exposure {
    /// Runs it.
    ///
    /// # Errors
    /// The service's.
    pub(super) async fn run(self, session: &Session) -> Result<(), Failure> {
        let mut request = self.request();
        request.touched = true;
        request.outcome = "OK".to_owned();
        let mut released = v1::SummarizeEntriesRequest::default();
        let mut done = Counted::default();
        for action in RELEASES {
            released = v1::SummarizeEntriesRequest {
                action: action.to_owned(),
                ..request.clone()
            };
            done.add(count(session, released.clone()).await?);
        }
        let cached = v1::SummarizeEntriesRequest {
            touched: false,
            action: CACHED.to_owned(),
            ..released.clone()
        };
        let cached = count(session, cached).await?;
        let all = v1::SummarizeEntriesRequest {
            touched: false,
            action: String::new(),
            outcome: String::new(),
            ..released
        };
        let all = count(session, all).await?;
        let refused = all.rows.iter().filter(|row| row.outcome != "OK");
        let report = ExposureReport {
            about: self.about(),
            from: self.from.map(|time| time.to_string()),
            to: self.to.map(|time| time.to_string()),
            first: done.first(),
            last: done.last(),
            released: done.items(),
            refused: refused.map(|row| row.items).sum(),
            tenants: done.lasting.iter().cloned().collect(),
            shred_secrets: done.secrets.len(),
            cannot_see: self.cannot_see(&all),
            cached_uses: cached.items(),
            cached: cached.rows,
            rows: done.rows,
        };
        session.show(&report)?;
        match session.form() {
            Form::Table => output::write(&report.words()),
            Form::Json => Ok(()),
        }
    }

    fn request(&self) -> v1::SummarizeEntriesRequest {
        let scope = self.subject.as_ref().map(|subject| v1::ShredSecretScope {
            kind: v1::SecretKind::Subject.into(),
            account: self.account.clone().unwrap_or_default(),
            name: subject.clone(),
            retention_class: self.class.clone().unwrap_or_default(),
        });
        v1::SummarizeEntriesRequest {
            principal: self.principal.clone().unwrap_or_default(),
            dataset: self
                .dataset
                .as_ref()
                .map(DatasetName::resource)
                .unwrap_or_default(),
            version: self.version.unwrap_or_default(),
            from_time: self.from.map(proto_time),
            to_time: self.to.map(proto_time),
            shred_secret: scope.map(|scope| v1::ShredSecretSelector {
                by: Some(By::Scope(scope)),
            }),
            ..Default::default()
        }
    }

    fn about(&self) -> String {
        let mut about = Vec::new();
        about.extend(
            self.principal
                .iter()
                .map(|name| format!("principal {name}")),
        );
        about.extend(self.dataset.iter().map(|name| format!("dataset {name}")));
        about.extend(
            self.version
                .iter()
                .map(|number| format!("version {number}")),
        );
        about.extend(self.subject.iter().map(|name| format!("subject {name}")));
        about.join(", ")
    }

    /// What no look into the log can tell.
    fn cannot_see(&self, all: &Counted) -> Vec<String> {
        let mut blind = vec![
            "a data key that was released opens its rows until it leaves the client's memory and cache; reading with a \
             cached key asks nothing here"
                .to_owned(),
            "cached uses are the clients' own word: a client that was taken over, is switched off or has another library \
             says nothing or what it likes; a report may come a minute late, or twice"
                .to_owned(),
            "wrapped keys are counted when the service opens them; how many rows a key stands for, the service does not know"
                .to_owned(),
            "tenants are told by datasets whose policy declares lasting context keys, as the callers named them".to_owned(),
        ];
        if !all.months_without_key.is_empty() {
            let months: Vec<_> = all.months_without_key.iter().cloned().collect();
            blind.push(format!(
                "the keys of these months do not exist (any more): nobody's secrets can be found in {}",
                months.join(", ")
            ));
        }
        if self.subject.is_some() {
            blind.push(
                "calls that named no secret of this person: data wrapped without it".to_owned(),
            );
        }
        blind
    }
}

/// All pages, added up.
///
/// # Errors
/// The service's.
pub(super) async fn count(
    session: &Session,
    mut request: v1::SummarizeEntriesRequest,
) -> Result<Counted, Failure> {
    let mut counted = Counted::default();
    loop {
        let page = call!(session, repeat audit_service_client::AuditServiceClient.summarize_entries, request)?;
        request.page_token.clone_from(&page.next_page_token);
        counted.take(page);
        if request.page_token.is_empty() {
            return Ok(counted);
        }
    }
}

#[derive(Debug, Serialize)]
struct ExposureReport {
    about: String,
    from: Option<String>,
    to: Option<String>,
    /// Data keys and plaintexts that left the service.
    released: u64,
    /// Calls and items that were refused.
    refused: u64,
    first: Option<String>,
    last: Option<String>,
    rows: Vec<count::Row>,
    /// Uses of remembered data keys, as far as clients reported them.
    cached_uses: u64,
    cached: Vec<count::Row>,
    /// `key=value` of lasting context.
    tenants: Vec<String>,
    /// Hashes of persons', accounts' and months' secrets together; one secret has another every month.
    shred_secrets: usize,
    cannot_see: Vec<String>,
}

impl ExposureReport {
    /// What stands below the table.
    fn words(&self) -> String {
        let tenants = if self.tenants.is_empty() {
            "none named".to_owned()
        } else {
            self.tenants.join(", ")
        };
        let mut text = format!(
            "\nReleased in all: {}; refused: {}; reported uses of cached keys: {}.\nTenants: {}.\nShred secrets touched: {}.\nNot seen:\n",
            self.released,
            self.refused,
            self.cached_uses,
            printable(&tenants),
            self.shred_secrets
        );
        for blind in &self.cannot_see {
            text.push_str(&format!("- {}\n", printable(blind)));
        }
        text
    }
}

impl Report for ExposureReport {
    fn table(&self) -> Table {
        let mut table = Table::list(&[
            "principal",
            "dataset",
            "version",
            "action",
            "items",
            "first",
            "last",
        ]);
        for row in self.rows.iter().chain(&self.cached) {
            table.row([
                row.principal.clone(),
                row.dataset.clone(),
                row.version.to_string(),
                row.action.clone(),
                row.items.to_string(),
                brief(row.first.as_ref()),
                brief(row.last.as_ref()),
            ]);
        }
        table
    }
}
