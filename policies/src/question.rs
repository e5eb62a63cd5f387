//! One question to the policies, and its answer. Builds what Cedar wants from names; decides nothing itself.

use crate::load::Policies;
use cedar_policy::{
    Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, ParseErrors, Request,
    RestrictedExpression,
};
use std::collections::BTreeMap;
use std::error::Error;
use std::net::IpAddr;
use std::str::FromStr;

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// Canonical name.
    pub name: &'a str,
    /// A person in a session, not a service.
    pub is_person: bool,
    /// Roles as the schema lists them.
    pub roles: &'a [&'a str],
    /// Attributes.
    pub attributes: Option<&'a BTreeMap<Box<str>, Box<str>>>,
}

/// May `caller` do `action`?
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Who.
    pub caller: Caller<'a>,
    /// What, as the schema names it.
    pub action: &'a str,
    /// To which dataset; `None` where there is none, or none of the name asked for.
    pub dataset: Option<&'a str>,
    /// Retention classes that the dataset allows.
    pub classes: &'a [&'a str],
    /// The dataset's labels.
    pub labels: &'a [(&'a str, &'a str)],
    /// The key context.
    pub key_context: Option<&'a BTreeMap<String, String>>,
    /// The caller's address.
    pub source: Option<IpAddr>,
    /// `YYYY-MM-DDThh:mm:ssZ`.
    pub now: &'a str,
    /// Seconds since the last one-time code.
    pub mfa_age: Option<i64>,
}

/// How fresh a person's second factor must be, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Asks {
    /// A session.
    Session,
    /// A code within five minutes.
    Recent,
    /// A new code with the very request.
    Each,
}

impl Asks {
    const ALL: [Self; 3] = [Self::Session, Self::Recent, Self::Each];

    /// From its word.
    pub(crate) fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|asks| asks.as_str() == word)
    }

    /// Its word in policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Recent => "recent",
            Self::Each => "each",
        }
    }
}

/// What the policies say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Yes or no.
    pub allowed: bool,
    /// Ids of the policies that decided, sorted; empty when none applied: default deny.
    pub decided_by: Vec<String>,
    /// What a person's second factor must be, where a policy asks for more than the service does by itself.
    pub asks: Option<Asks>,
    /// Why a policy could not be evaluated; the answer is then no.
    pub failure: Option<String>,
}

/// Types of entities, parsed once.
pub(crate) struct Names {
    principal: EntityTypeName,
    role: EntityTypeName,
    dataset: EntityTypeName,
    daemon: EntityTypeName,
    key_context: EntityTypeName,
}

impl Names {
    pub(crate) fn new() -> Result<Self, Box<ParseErrors>> {
        Ok(Self {
            principal: EntityTypeName::from_str("Principal")?,
            role: EntityTypeName::from_str("Role")?,
            dataset: EntityTypeName::from_str("Dataset")?,
            daemon: EntityTypeName::from_str("Daemon")?,
            key_context: EntityTypeName::from_str("KeyContext")?,
        })
    }
}

impl Names {
    pub(crate) fn is_role(&self, uid: &EntityUid) -> bool {
        *uid.type_name() == self.role
    }
}

fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

fn text(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

impl Policies {
    /// Asks. What cannot be asked or evaluated is denied.
    #[must_use]
    pub fn decide(&self, question: &Question<'_>) -> Answer {
        let denied = |failure: String| Answer {
            allowed: false,
            decided_by: Vec::new(),
            asks: None,
            failure: Some(failure),
        };
        let (request, entities) = match self.prepare(question) {
            Ok(prepared) => prepared,
            Err(error) => return denied(error.to_string()),
        };
        let ask = |set| self.authorizer.is_authorized(&request, set, &entities);
        let (decision, steps) = (ask(&self.set), ask(&self.steps));
        let (decided, stepped) = (decision.diagnostics(), steps.diagnostics());
        if let Some(error) = decided.errors().chain(stepped.errors()).next() {
            return denied(error.to_string());
        }
        let asks = stepped.reason().filter_map(|id| self.asks.get(id)).max();
        let mut decided_by: Vec<String> = decided.reason().map(ToString::to_string).collect();
        decided_by.sort_unstable();
        Answer {
            allowed: decision.decision() == Decision::Allow,
            decided_by,
            asks: asks.copied(),
            failure: None,
        }
    }

    fn prepare(&self, question: &Question<'_>) -> Result<(Request, Entities), Box<dyn Error>> {
        let facts = self.actions.get(question.action);
        let facts = facts.ok_or("the schema knows no such action")?;
        let resource = self.resource(question, facts.of_dataset)?;
        let principal = self.principal(&question.caller)?;
        let key_context = uid(&self.names.key_context, "of this call");
        let pairs = question.key_context.into_iter().flatten();
        let tags = pairs.map(|(key, value)| (key.clone(), text(value)));
        let context = Entity::new_with_tags(key_context.clone(), [], [], tags)?;
        let mut circumstances = vec![
            (
                "key_context".to_owned(),
                RestrictedExpression::new_entity_uid(key_context),
            ),
            (
                "now".to_owned(),
                RestrictedExpression::new_datetime(question.now),
            ),
        ];
        if let Some(source) = question.source {
            // an IPv4 caller of an IPv6 listener is the IPv4 caller that policies mean
            let source = RestrictedExpression::new_ip(source.to_canonical().to_string());
            circumstances.push(("source".to_owned(), source));
        }
        if let Some(age) = question.mfa_age {
            circumstances.push(("mfa_age".to_owned(), RestrictedExpression::new_long(age)));
        }
        let request = Request::new(
            principal.uid(),
            facts.uid.clone(),
            resource.uid(),
            Context::from_pairs(circumstances)?,
            None,
        )?;
        let entities = Entities::from_entities([principal, resource, context], None)?;
        Ok((request, entities))
    }

    fn principal(&self, caller: &Caller<'_>) -> Result<Entity, Box<dyn Error>> {
        let attribute = |name: &str| caller.attributes.and_then(|all| all.get(name));
        let datasets = attribute("datasets").map_or("", |names| names);
        let datasets = RestrictedExpression::new_set(datasets.split_whitespace().map(text));
        let kind = if caller.is_person {
            "person"
        } else {
            "service"
        };
        let mut known = vec![
            ("name".to_owned(), text(caller.name)),
            ("kind".to_owned(), text(kind)),
            ("datasets".to_owned(), datasets),
        ];
        if let Some(issuer) = attribute("issuer") {
            known.push(("issuer".to_owned(), text(issuer)));
        }
        let roles = caller.roles.iter().map(|role| uid(&self.names.role, role));
        let tags = caller.attributes.into_iter().flatten();
        let tags = tags.map(|(key, value)| (key.to_string(), text(value)));
        let id = uid(&self.names.principal, caller.name);
        Ok(Entity::new_with_tags(id, known, roles, tags)?)
    }

    fn resource(&self, question: &Question<'_>, dataset: bool) -> Result<Entity, Box<dyn Error>> {
        if !dataset {
            return Ok(Entity::with_uid(uid(&self.names.daemon, "kms")));
        }
        // no dataset has an empty name
        let name = question.dataset.unwrap_or_default();
        let id = uid(&self.names.dataset, name);
        let classes = question.classes.iter().map(|class| text(class));
        let attributes = [
            ("name".to_owned(), text(name)),
            ("classes".to_owned(), RestrictedExpression::new_set(classes)),
        ];
        let labels = question.labels.iter();
        let labels = labels.map(|(key, value)| ((*key).to_owned(), text(value)));
        Ok(Entity::new_with_tags(id, attributes, [], labels)?)
    }
}
