//! One place for each thing: who may name ring, sled, a clock, the gRPC codes, the bytes of a secret.

use crate::listing::{covers, listing, plain};
use crate::none;
use crate::source::{Source, is_word, rust, says};

const PLACES: &str = include_str!("places.txt");
const EXPOSE: &str = include_str!("expose.txt");

/// Lines of `source` that say `name`.
fn lines_with<'a>(source: &'a Source, name: &'a str) -> impl Iterator<Item = usize> + 'a {
    source
        .lines()
        .filter(move |(_, line)| says(line, name))
        .map(|(number, _)| number)
}

#[test]
fn each_thing_has_its_place() {
    let sources = rust();
    let mut breaches = Vec::new();
    for (name, allowed) in listing(PLACES) {
        for source in sources {
            if allowed.iter().any(|entry| covers(entry, &source.path)) {
                continue;
            }
            for line in lines_with(source, &name) {
                breaches.push(format!("{}:{line}: says {name}", source.path));
            }
        }
        for entry in &allowed {
            let used = sources
                .iter()
                .any(|s| covers(entry, &s.path) && lines_with(s, &name).next().is_some());
            if !used {
                breaches.push(format!("places.txt: {entry} no longer says {name}"));
            }
        }
    }
    none("one place for each thing", &breaches);
}

/// Whether a line names something that begins with one of the loud prefixes.
fn is_loud(line: &str) -> bool {
    ["expose_", "danger_"].iter().any(|prefix| {
        line.match_indices(prefix).any(|(at, _)| {
            let before = line[..at].chars().next_back().unwrap_or(' ');
            !is_word(before)
        })
    })
}

#[test]
fn only_listed_files_expose_secrets() {
    let listed = plain(EXPOSE);
    let mut breaches = Vec::new();
    let sources = rust();
    for source in sources {
        let loud = source.lines().find(|(_, line)| is_loud(line));
        let known = listed.contains(&source.path);
        match (loud, known) {
            (Some((line, _)), false) => {
                breaches.push(format!("{}:{line}: not listed", source.path))
            }
            (None, true) => breaches.push(format!("expose.txt: {} says it no longer", source.path)),
            _ => {}
        }
    }
    for entry in &listed {
        if !sources.iter().any(|source| source.path == *entry) {
            breaches.push(format!("expose.txt: no file {entry}"));
        }
    }
    none("files that may say expose_ or danger_", &breaches);
}

#[test]
fn spans_record_no_arguments() {
    let mut breaches = Vec::new();
    for source in rust() {
        for (at, _) in source.code.match_indices("instrument") {
            let attribute = source.code[..at]
                .trim_end_matches("tracing::")
                .ends_with("#[");
            let rest: String = source.code[at..]
                .chars()
                .take_while(|c| *c != ']')
                .collect();
            if attribute && !rest.contains("skip_all") {
                let line = source.code[..at].lines().count();
                breaches.push(format!("{}:{line}", source.path));
            }
        }
    }
    none("#[instrument] without skip_all", &breaches);
}
