//! Access policies in Cedar: the schema, the shipped texts, strict loading, and one decision. Knows names only, so that
//! the daemon and the command line judge alike. Never looks at a clock, a network or the service's state.
//!
//! Default deny, forbid wins, and a policy that fails while it is evaluated denies.

mod depth;
mod load;
mod question;
mod text;

pub use load::{BrokenPolicy, Policies};
pub use question::{Answer, Asks, Caller, Question};
pub use text::{NotRead, PolicyText, TEXTS_BYTES_MAX, fingerprint, read};

/// The schema that every policy is checked against.
pub const SCHEMA: &str = include_str!("../schema.cedarschema");

/// The shipped texts: a file for each role that a person or service has, and one for what needs none.
#[must_use]
pub fn shipped() -> Vec<PolicyText> {
    macro_rules! texts {
        ($($name:literal),+) => {
            vec![$(PolicyText {
                name: $name.to_owned(),
                text: include_str!(concat!("../roles/", $name)).to_owned(),
            }),+]
        };
    }
    texts![
        "approver.cedar",
        "auditor.cedar",
        "break-glass.cedar",
        "everyone.cedar",
        "key-admin.cedar",
        "security-admin.cedar",
        "service.cedar"
    ]
}

#[cfg(test)]
mod tests;
