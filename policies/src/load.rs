//! Texts into policies that can be asked: all or nothing, each error with its file and line.

use crate::depth::{BRACKETS_MAX, OPERATORS_MAX, too_deep};
use crate::question::{Asks, Names};
use crate::{PolicyText, SCHEMA};
use cedar_policy::{
    ActionConstraint, Authorizer, Effect, EntityUid, Policy, PolicyId, PolicySet,
    PrincipalConstraint, Schema, ValidationMode, Validator,
};
use miette::Diagnostic;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Display;
use std::str::FromStr;

/// A text that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {problem}")]
pub struct BrokenPolicy {
    /// Name of the text.
    pub file: String,
    /// From 1; 0 where no line can be named.
    pub line: usize,
    /// What is wrong, in one line.
    pub problem: String,
}

/// What is known of an action.
pub(crate) struct ActionFacts {
    pub(crate) uid: EntityUid,
    /// It is about a dataset, not about the daemon.
    pub(crate) of_dataset: bool,
    /// Whose calls a policy that reads the circumstances may be about.
    readers: Readers,
}

/// Whose calls.
#[derive(Default)]
struct Readers {
    anybody: bool,
    roles: BTreeSet<String>,
}

/// Policies that were read, checked and can be asked.
pub struct Policies {
    /// What permits and forbids.
    pub(crate) set: PolicySet,
    /// What asks for a fresher second factor: forbids that carry `@freshness`.
    pub(crate) steps: PolicySet,
    pub(crate) asks: HashMap<PolicyId, Asks>,
    pub(crate) authorizer: Authorizer,
    pub(crate) actions: HashMap<String, ActionFacts>,
    pub(crate) names: Names,
}

impl std::fmt::Debug for Policies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policies").finish_non_exhaustive()
    }
}

impl Policies {
    /// Reads and checks `texts`.
    ///
    /// # Errors
    /// [`BrokenPolicy`]: the first text that does not parse, does not fit the schema (warnings count), holds a
    /// template or an unknown annotation, or repeats an `@id`.
    pub fn load(texts: &[PolicyText]) -> Result<Self, BrokenPolicy> {
        let inner = |error: &dyn Display| broken("schema.cedarschema", 0, error);
        let (schema, _) = Schema::from_cedarschema_str(SCHEMA).map_err(|error| inner(&error))?;
        let mut policies = Self {
            set: PolicySet::new(),
            steps: PolicySet::new(),
            asks: HashMap::new(),
            authorizer: Authorizer::new(),
            actions: actions(&schema),
            names: Names::new().map_err(|error| inner(&error))?,
        };
        let validator = Validator::new(schema);
        for text in texts {
            for policy in read(&validator, text)? {
                policies.add(&text.name, policy)?;
            }
        }
        Ok(policies)
    }

    fn add(&mut self, file: &str, policy: Policy) -> Result<(), BrokenPolicy> {
        let refused = |problem: &dyn Display| broken(file, 0, problem);
        let known = |key: &str| matches!(key, "id" | "note" | "freshness");
        if let Some((key, _)) = policy.annotations().find(|(key, _)| !known(key)) {
            let id = policy.id();
            return Err(refused(&format!("{id}: no annotation is named @{key}")));
        }
        self.note_context(&policy);
        let id = policy.id().clone();
        if self.set.policy(&id).is_some() || self.steps.policy(&id).is_some() {
            return Err(refused(&format!("{id}: two policies have this @id")));
        }
        let Some(word) = policy.annotation("freshness") else {
            return self.set.add(policy).map_err(|error| refused(&error));
        };
        let asks = Asks::of(word).filter(|_| policy.effect() == Effect::Forbid);
        let asks = asks.ok_or_else(|| {
            refused(&format!(
                "{id}: @freshness is session, recent or each, and stands before a forbid"
            ))
        })?;
        self.asks.insert(id, asks);
        self.steps.add(policy).map_err(|error| refused(&error))
    }

    /// The names of all actions, in no order.
    pub fn actions(&self) -> impl Iterator<Item = &str> {
        self.actions.keys().map(String::as_str)
    }

    /// Whether what is answered to a principal of these roles for `action` may depend on more than principal, action
    /// and resource. Judged from the texts, and rather once too often: a policy that so much as names the context
    /// counts for everybody whom its head does not leave out.
    #[must_use]
    pub fn reads_context(&self, action: &str, roles: &[&str]) -> bool {
        self.actions.get(action).is_none_or(|facts| {
            let readers = &facts.readers;
            readers.anybody || roles.iter().any(|role| readers.roles.contains(*role))
        })
    }

    /// Marks the actions that `policy` may apply to, if it reads the context.
    fn note_context(&mut self, policy: &Policy) {
        // what cannot be written as JSON cannot be judged: it counts as reading
        let reads = policy
            .to_json()
            .map_or(true, |json| json.to_string().contains(r#""Var":"context""#));
        if !reads {
            return;
        }
        let constraint = policy.action_constraint();
        let role = match policy.principal_constraint() {
            PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => Some(uid),
            _ => None,
        };
        let role = role.filter(|uid| self.names.is_role(uid));
        for facts in self.actions.values_mut() {
            let applies = match &constraint {
                ActionConstraint::Any => true,
                ActionConstraint::Eq(uid) => *uid == facts.uid,
                ActionConstraint::In(uids) => uids.contains(&facts.uid),
            };
            match &role {
                _ if !applies => {}
                Some(role) => drop(facts.readers.roles.insert(role.id().unescaped().to_owned())),
                None => facts.readers.anybody = true,
            }
        }
    }
}

fn actions(schema: &Schema) -> HashMap<String, ActionFacts> {
    let facts = |uid: &EntityUid| {
        let mut kinds = schema.resources_for_action(uid).into_iter().flatten();
        let facts = ActionFacts {
            uid: uid.clone(),
            of_dataset: kinds.any(|kind| kind.to_string() == "Dataset"),
            readers: Readers::default(),
        };
        (uid.id().unescaped().to_owned(), facts)
    };
    schema.actions().map(facts).collect()
}

/// One text's policies, under their own ids.
fn read(validator: &Validator, text: &PolicyText) -> Result<Vec<Policy>, BrokenPolicy> {
    if let Some(line) = too_deep(&text.text) {
        let problem = format!(
            "nests deeper than {BRACKETS_MAX} brackets or {OPERATORS_MAX} operators in one policy"
        );
        return Err(broken(&text.name, line, &problem));
    }
    let set = PolicySet::from_str(&text.text)
        .map_err(|error| broken(&text.name, line(&text.text, &error), &error))?;
    if set.num_of_templates() > 0 {
        return Err(broken(&text.name, 0, &"holds a template with slots"));
    }
    let checked = validator.validate(&set, ValidationMode::Strict);
    if let Some(error) = checked.validation_errors().next() {
        return Err(broken(&text.name, line(&text.text, error), error));
    }
    if let Some(warning) = checked.validation_warnings().next() {
        return Err(broken(&text.name, line(&text.text, warning), warning));
    }
    let named = |policy: &Policy| {
        let id = match policy.annotation("id") {
            Some(id) => id.to_owned(),
            None => format!("{}:{}", text.name, policy.id()),
        };
        policy.new_id(PolicyId::new(id))
    };
    Ok(set.policies().map(named).collect())
}

fn broken(file: &str, line: usize, problem: &(impl Display + ?Sized)) -> BrokenPolicy {
    BrokenPolicy {
        file: file.to_owned(),
        line,
        problem: problem.to_string().replace('\n', " "),
    }
}

/// The line that an error points at.
fn line(text: &str, error: &dyn Diagnostic) -> usize {
    let label = error.labels().and_then(|mut labels| labels.next());
    label.map_or(0, |label| {
        let before = text.bytes().take(label.offset());
        1 + before.filter(|byte| *byte == b'\n').count()
    })
}
