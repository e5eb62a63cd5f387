//! The RPCs of `DatasetService`: datasets and the life cycle of their versions.

pub(super) mod dataset;
pub(super) mod listing;
pub(super) mod rotation;
pub(super) mod version;

use super::operation::{At, Refused, Target};
use super::parse;
use kms_core::engine::Refusal;
use kms_core::name::VersionNumber;

/// The dataset of a field `name`.
fn named<'a>(at: &At<'a>, name: &str, field: &str) -> Result<Target<'a>, Refusal> {
    let name = parse::dataset(name, field)?;
    Ok(Target(at.snapshot.by_name(&name)))
}

/// The dataset and number of a field `name`.
fn version_named<'a>(at: &At<'a>, name: &str) -> Result<(Target<'a>, VersionNumber), Refused> {
    let (name, number) = parse::version(name, "name")?;
    Ok((Target(at.snapshot.by_name(&name)), number))
}
