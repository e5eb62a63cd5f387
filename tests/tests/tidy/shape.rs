//! Sizes and names of files, first comments, and words that mean unfinished work.

use crate::listing::plain;
use crate::none;
use crate::source::{Source, files, rust};

const NAMES: &str = include_str!("names.txt");
const WORDS: &str = include_str!("words.txt");
/// Lines of code, without the tests at the bottom.
const LINES_MAX: usize = 500;
/// Lines of a file of tests.
const TEST_LINES_MAX: usize = 600;
/// Functions are clippy's (`too_many_lines`, clippy.toml), lines of code rustfmt's; this binds texts in tables.
const COLUMNS_MAX: usize = 180;

fn is_generated(source: &Source) -> bool {
    source.path.contains("/gen/") || source.path.contains("/generated/")
}

#[test]
fn files_are_short() {
    let mut breaches = Vec::new();
    for source in rust().iter().filter(|source| !is_generated(source)) {
        let (lines, limit) = if source.is_test() {
            (source.text.lines().count(), TEST_LINES_MAX)
        } else {
            (source.code_lines, LINES_MAX)
        };
        if lines > limit {
            breaches.push(format!("{}: {lines} lines, at most {limit}", source.path));
        }
        for (number, line) in source.text.lines().enumerate() {
            let columns = line.chars().count();
            if columns > COLUMNS_MAX {
                breaches.push(format!("{}:{}: {columns} columns", source.path, number + 1));
            }
        }
    }
    none("sizes", &breaches);
}

#[test]
fn modules_are_named_after_the_domain() {
    let forbidden = plain(NAMES);
    let mut breaches = Vec::new();
    for source in rust() {
        let path = source.path.trim_end_matches(".rs");
        for part in path.split('/') {
            if forbidden.iter().any(|name| name == part) {
                breaches.push(format!("{}: {part} says nothing", source.path));
            }
        }
    }
    none("names", &breaches);
}

#[test]
fn modules_say_what_they_are_for() {
    let mut breaches = Vec::new();
    for source in rust() {
        if !(source.text.starts_with("//! ") || source.is_test()) {
            breaches.push(source.path.clone());
        }
    }
    none("a file begins with what it is for", &breaches);
}

#[test]
fn nothing_is_left_unfinished() {
    let words = plain(WORDS);
    let mut breaches = Vec::new();
    for (path, text) in files(&[".rs", ".md", ".proto", ".toml", ".sh"]) {
        for (number, line) in text.lines().enumerate() {
            for word in words.iter().filter(|word| line.contains(word.as_str())) {
                breaches.push(format!("{path}:{}: {word}", number + 1));
            }
        }
    }
    none("unfinished work", &breaches);
}

#[test]
fn allowed_lints_have_reasons() {
    let mut breaches = Vec::new();
    for source in rust() {
        for opening in ["#[allow(", "#![allow(", "#[expect(", "#![expect("] {
            for (at, _) in source.code.match_indices(opening) {
                let rest = &source.code[at..];
                let attribute = &rest[..rest.find(")]").unwrap_or(rest.len())];
                if !attribute.contains("reason =") {
                    let line = source.code[..at].lines().count();
                    breaches.push(format!("{}:{line}", source.path));
                }
            }
        }
    }
    none("an allowed lint without a reason", &breaches);
}
