//! What `kms policy` shows.

use crate::args::Form;
use crate::exit::{Exit, Failure};
use crate::output::{Report, Table, optional_time, write};
use crate::session::Session;
use kms_client::proto::v1;
use serde::Serialize;
use std::fmt::Write as _;

/// Policies that were put into force.
#[derive(Debug, Serialize)]
pub(super) struct Applied {
    generation: u64,
    fingerprint: String,
}

impl From<v1::ApplyPoliciesResponse> for Applied {
    fn from(answer: v1::ApplyPoliciesResponse) -> Self {
        Self {
            generation: answer.generation,
            fingerprint: answer.fingerprint,
        }
    }
}

impl Report for Applied {
    fn table(&self) -> Table {
        let mut table = Table::facts();
        table.fact("generation", self.generation.to_string());
        table.fact("fingerprint", &self.fingerprint);
        table
    }
}

/// A generation with its texts.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    generation: u64,
    fingerprint: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    applied_by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    applied_at: Option<String>,
    texts: Vec<Text>,
}

#[derive(Debug, Serialize)]
struct Text {
    name: String,
    text: String,
}

impl From<v1::GetPoliciesResponse> for Shown {
    fn from(answer: v1::GetPoliciesResponse) -> Self {
        let text = |text: v1::PolicyText| Text {
            name: text.name,
            text: text.text,
        };
        Self {
            generation: answer.generation,
            fingerprint: answer.fingerprint,
            applied_by: answer.applied_by,
            applied_at: optional_time(answer.applied_at.as_ref()),
            texts: answer.texts.into_iter().map(text).collect(),
        }
    }
}

impl Shown {
    /// For programs as it is; for people as Cedar that could be applied again.
    pub(super) fn show(&self, session: &Session) -> Result<(), Failure> {
        if session.form() == Form::Json {
            return session.show(self);
        }
        write(&self.text())
    }

    fn text(&self) -> String {
        let mut all = format!("// generation {}, {}\n", self.generation, self.fingerprint);
        if let Some(at) = &self.applied_at {
            // writing to a string cannot fail
            let _ = writeln!(all, "// put into force {at} by {}", self.applied_by);
        }
        for text in &self.texts {
            let _ = writeln!(all, "\n// {}", text.name);
            let plain = text.text.chars().filter(|c| *c == '\n' || !c.is_control());
            all.extend(plain);
        }
        all
    }
}

impl Report for Shown {
    fn table(&self) -> Table {
        let mut table = Table::facts();
        table.fact("generation", self.generation.to_string());
        table.fact("fingerprint", &self.fingerprint);
        table
    }
}

/// What would be decided.
#[derive(Debug, Serialize)]
pub(super) struct Tested {
    allowed: bool,
    decided_by: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    asks: String,
    generation: u64,
}

impl From<v1::TestPoliciesResponse> for Tested {
    fn from(answer: v1::TestPoliciesResponse) -> Self {
        Self {
            allowed: answer.allowed,
            decided_by: answer.decided_by,
            asks: answer.asks,
            generation: answer.generation,
        }
    }
}

impl Tested {
    /// # Errors
    /// It is not allowed.
    pub(super) fn verdict(&self) -> Result<(), Failure> {
        if self.allowed {
            return Ok(());
        }
        Err(Failure::new(Exit::Denied, "not allowed"))
    }
}

impl Report for Tested {
    fn table(&self) -> Table {
        let mut table = Table::facts();
        table.fact("allowed", if self.allowed { "yes" } else { "no" });
        let by = if self.decided_by.is_empty() {
            "nothing allows it".to_owned()
        } else {
            self.decided_by.join(", ")
        };
        table.fact("decided by", by);
        table.fact("code", &self.asks);
        table.fact("generation", self.generation.to_string());
        table
    }
}
