//! `[[audit.forward]]` as the file has it.

use super::super::bounds::{Places, Problem, required};
use super::super::forward::{FORWARDS_MAX, Forward, To};
use serde::Deserialize;
use std::collections::BTreeSet;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ForwardTable {
    name: Option<String>,
    syslog: Option<String>,
    https: Option<String>,
    file: Option<String>,
    ca: Option<String>,
    authorization_file: Option<String>,
    from_start: Option<bool>,
}

pub(super) fn forwards(
    tables: Vec<ForwardTable>,
    places: Places<'_>,
) -> Result<Vec<Forward>, Problem> {
    if tables.len() > FORWARDS_MAX {
        let problem = format!(
            "stands {} times, must be at most {FORWARDS_MAX}",
            tables.len()
        );
        return Err(Problem::new("audit.forward", problem));
    }
    let numbered = tables.into_iter().enumerate();
    let forwards: Vec<Forward> = numbered
        .map(|(number, table)| forward(&format!("audit.forward[{number}]"), table, places))
        .collect::<Result<_, _>>()?;
    let mut names = BTreeSet::new();
    match forwards.iter().find(|it| !names.insert(&it.name)) {
        Some(twice) => {
            let problem = format!("{:?} is the name of two", twice.name);
            Err(Problem::new("audit.forward", problem))
        }
        None => Ok(forwards),
    }
}

fn forward(at: &str, table: ForwardTable, places: Places<'_>) -> Result<Forward, Problem> {
    let key = |name: &str| format!("{at}.{name}");
    let name = required(&key("name"), table.name)?;
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !first || name.len() > 32 || !name.bytes().all(fits) {
        let problem = format!("is {name:?}, must be of the form [a-z][a-z0-9-]{{0,31}}");
        return Err(Problem::new(&key("name"), problem));
    }
    let ca = || places.required(&key("ca"), table.ca.as_deref());
    let secured = table.syslog.is_some() || table.https.is_some();
    let to = match (table.syslog, table.https, table.file) {
        (Some(address), None, None) => To::Syslog { address, ca: ca()? },
        (None, Some(url), None) if url.starts_with("https://") => To::Https {
            url,
            ca: ca()?,
            authorization_file: places.optional(
                &key("authorization_file"),
                table.authorization_file.as_deref(),
            )?,
        },
        (None, Some(url), None) => {
            let problem = format!("is {url:?}, must begin with https://");
            return Err(Problem::new(&key("https"), problem));
        }
        (None, None, Some(path)) => To::File {
            path: places.path(&key("file"), &path)?,
        },
        _ => return Err(Problem::new(at, "must have one of syslog, https and file")),
    };
    let idle = |given: bool, name: &str, with: &str| {
        let problem = format!("stands without {with}, where it means nothing");
        if given {
            Err(Problem::new(&key(name), problem))
        } else {
            Ok(())
        }
    };
    idle(table.ca.is_some() && !secured, "ca", "syslog or https")?;
    let authorised = matches!(to, To::Https { .. });
    let given = table.authorization_file.is_some();
    idle(given && !authorised, "authorization_file", "https")?;
    Ok(Forward {
        name,
        to,
        from_start: table.from_start.unwrap_or(false),
    })
}
