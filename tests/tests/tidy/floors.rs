//! Floors: who may use whom, between crates and between the modules of a crate. ARCHITECTURE.md holds the lists.

use crate::none;
use crate::source::{Source, document, is_word, rust};
use std::collections::{BTreeMap, BTreeSet};

/// The section "Floors", read.
struct Floors {
    crates: Vec<String>,
    /// Crate -> floors from left to right.
    modules: BTreeMap<String, Vec<Vec<String>>>,
    /// Crate -> (used, user) of one floor.
    neighbours: BTreeMap<String, BTreeSet<(String, String)>>,
    /// Crate -> crates that it never depends on, of ours or of others.
    never: BTreeMap<String, Vec<String>>,
}

/// Crate, folder of its source.
const HOMES: [(&str, &str); 10] = [
    ("cobblestone", "cobblestone"),
    ("tlog", "tlog"),
    ("kms-proto", "proto"),
    ("kms-ocsf", "ocsf"),
    ("kms-policies", "policies"),
    ("kms-core", "kms-server/core"),
    ("kms-server", "kms-server"),
    ("kms-client", "kms-client"),
    ("kms-cli", "kms-client/cli"),
    ("kms-tests", "tests"),
];

fn floors() -> Floors {
    let text = document("ARCHITECTURE.md");
    let section = text
        .split("\n## ")
        .find(|part| part.starts_with("Floors"))
        .expect("ARCHITECTURE.md has a section Floors");
    let mut floors = Floors {
        crates: Vec::new(),
        modules: BTreeMap::new(),
        neighbours: BTreeMap::new(),
        never: BTreeMap::new(),
    };
    let mut part = 0;
    for line in section.lines() {
        let listed = line
            .strip_prefix("    ")
            .and_then(|line| line.split_once(": "));
        let Some((name, list)) = listed else {
            part += usize::from(line.starts_with("Two modules") || line.starts_with("Never"));
            continue;
        };
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        match part {
            0 if name == "crates" => floors.crates = words(list),
            0 => {
                let left_to_right = list.split(" < ").map(words).collect();
                floors.modules.insert(name.to_owned(), left_to_right);
            }
            1 => {
                let pairs = list.split(';').map(|pair| {
                    let pair: Vec<String> = words(pair);
                    assert_eq!(pair.len(), 2, "ARCHITECTURE.md, neighbours: {pair:?}");
                    (pair[0].clone(), pair[1].clone())
                });
                floors.neighbours.insert(name.to_owned(), pairs.collect());
            }
            _ => {
                floors.never.insert(name.to_owned(), words(list));
            }
        }
    }
    assert_eq!(floors.crates.len(), HOMES.len());
    assert!(!floors.modules.is_empty() && !floors.neighbours.is_empty());
    assert!(!floors.never.is_empty());
    floors
}

/// The module of the crate's root that `path` belongs to, and how many modules deep it stands.
fn module_of(path: &str, home: &str) -> Option<(String, usize)> {
    let inner = path
        .strip_prefix(home)?
        .strip_prefix("/src/")?
        .strip_suffix(".rs")?;
    let parts: Vec<&str> = inner.split('/').collect();
    (parts[0] != "bin").then(|| (parts[0].to_owned(), parts.len()))
}

/// Names of the crate's root that `code` reaches: after `crate::`, the crate's own name, or enough `super::`.
fn reached(source: &Source, own: &str, depth: usize) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let text: String = source.lines().fold(String::new(), |mut text, (_, line)| {
        text.push_str(line);
        text.push('\n');
        text
    });
    let supers = "super::".repeat(depth);
    for prefix in ["crate::", own, supers.as_str()] {
        for (at, _) in text.match_indices(prefix) {
            let before = text[..at].chars().next_back().unwrap_or(' ');
            if is_word(before) || before == ':' || before == '$' {
                continue;
            }
            let line = text[..at].lines().count().max(1);
            let rest = &text[at + prefix.len()..];
            let names = match rest.strip_prefix('{') {
                Some(group) => first_names(group),
                None => vec![rest.chars().take_while(|c| is_word(*c)).collect()],
            };
            found.extend(names.into_iter().map(|name: String| (line, name)));
        }
    }
    found
}

/// The first name of each member of a `use` group, up to its closing brace.
fn first_names(group: &str) -> Vec<String> {
    let (mut depth, mut names, mut fresh) = (0, Vec::new(), true);
    let mut chars = group.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            c if depth == 0 && fresh && is_word(c) => {
                let name: String = group[at..].chars().take_while(|c| is_word(*c)).collect();
                chars.by_ref().take(name.len().saturating_sub(1)).count();
                names.push(name);
                fresh = false;
            }
            _ => {}
        }
    }
    names
}

#[test]
fn modules_use_only_what_stands_to_their_left() {
    let floors = floors();
    let sources = rust();
    let mut breaches = Vec::new();
    for (name, left_to_right) in &floors.modules {
        let home = HOMES.iter().find(|(crate_name, _)| crate_name == name);
        let home = home.unwrap_or_else(|| panic!("no crate {name}")).1;
        let own = format!("{}::", name.replace('-', "_"));
        let floor_of = |module: &str| {
            left_to_right
                .iter()
                .position(|floor| floor.iter().any(|m| m == module))
        };
        let neighbours = floors.neighbours.get(name);
        for source in sources {
            let Some((module, depth)) = module_of(&source.path, home) else {
                continue;
            };
            if module == "lib" {
                continue;
            }
            let Some(floor) = floor_of(&module) else {
                breaches.push(format!("{}: module {module} has no floor", source.path));
                continue;
            };
            for (line, used) in reached(source, &own, depth) {
                let Some(used_floor) = floor_of(&used) else {
                    continue;
                };
                let pair = (used.clone(), module.clone());
                let allowed = used == module
                    || used_floor < floor
                    || neighbours.is_some_and(|pairs| pairs.contains(&pair));
                if !allowed {
                    breaches.push(format!("{}:{line}: {module} uses {used}", source.path));
                }
            }
        }
    }
    none("a module uses only what stands to its left", &breaches);
}

#[test]
fn crates_use_only_what_stands_above_them() {
    let floors = floors();
    let mut breaches = Vec::new();
    for (name, home) in HOMES {
        let place = |wanted: &str| floors.crates.iter().position(|c| c == wanted);
        let Some(own) = place(name) else {
            breaches.push(format!("{name} stands nowhere in the list of crates"));
            continue;
        };
        let manifest = crate::manifests::manifest(home);
        let never = floors.never.get(name).map_or(&[][..], Vec::as_slice);
        for dependency in manifest.all() {
            if place(dependency).is_some_and(|other| other >= own) {
                breaches.push(format!(
                    "{name} depends on {dependency}, which stands below"
                ));
            }
        }
        for dependency in &manifest.normal {
            if never.contains(dependency) {
                breaches.push(format!(
                    "{name} depends on {dependency}, which it never may"
                ));
            }
        }
    }
    none("a crate uses only crates above it", &breaches);
}

#[test]
fn groups_of_uses_are_read() {
    assert_eq!(
        first_names("a::{b, c}, dd, e::f::{g::{h}, i}} j, k"),
        ["a", "dd", "e"]
    );
    let (module, depth) =
        module_of("kms-server/core/src/key/record/place.rs", "kms-server/core").expect("a module");
    assert_eq!((module.as_str(), depth), ("key", 3));
    assert_eq!(module_of("kms-server/core/src/key.rs", "kms-server"), None);
}
