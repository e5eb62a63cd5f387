//! Each crate's Cargo.toml: versions in one place, lints inherited, nothing unused.

use crate::none;
use crate::source::{document, is_word, rust};

/// The dependencies of one crate.
pub(crate) struct Manifest {
    pub(crate) normal: Vec<String>,
    development: Vec<String>,
    build: Vec<String>,
    text: String,
}

impl Manifest {
    pub(crate) fn all(&self) -> impl Iterator<Item = &String> {
        self.normal
            .iter()
            .chain(&self.development)
            .chain(&self.build)
    }
}

/// Reads the manifest in `home`.
pub(crate) fn manifest(home: &str) -> Manifest {
    let text = document(&format!("{home}/Cargo.toml"));
    let table: toml::Table = text.parse().unwrap();
    let keys = |section: &str| {
        table
            .get(section)
            .and_then(toml::Value::as_table)
            .map(|table| table.keys().cloned().collect())
            .unwrap_or_default()
    };
    Manifest {
        normal: keys("dependencies"),
        development: keys("dev-dependencies"),
        build: keys("build-dependencies"),
        text,
    }
}

fn homes() -> Vec<String> {
    let table: toml::Table = document("Cargo.toml").parse().unwrap();
    let members = table["workspace"]["members"].as_array().unwrap();
    let members = members.iter().map(|m| m.as_str().unwrap().to_owned());
    members.collect()
}

/// Whether the sources under one of `folders` name the crate.
fn named(home: &str, folders: &[&str], dependency: &str) -> bool {
    let word = dependency.replace('-', "_");
    let word = word
        .strip_prefix("rustls_webpki")
        .map_or(word.as_str(), |_| "webpki");
    rust().iter().any(|source| {
        let Some(inner) = source.path.strip_prefix(&format!("{home}/")) else {
            return false;
        };
        // A crate inside another's folder has its own manifest.
        let nested = homes().iter().any(|other| {
            other.starts_with(&format!("{home}/")) && source.path.starts_with(&format!("{other}/"))
        });
        !nested
            && folders.iter().any(|folder| inner.starts_with(folder))
            && source.code.match_indices(word).any(|(at, _)| {
                let before = source.code[..at].chars().next_back().unwrap_or(' ');
                let after = source.code[at + word.len()..].chars().next().unwrap_or(' ');
                !is_word(before) && !is_word(after)
            })
    })
}

#[test]
fn every_dependency_is_used() {
    // What generated code uses stands in no source file.
    let generated = ["prost", "tonic-prost", "prost-types"];
    let mut breaches = Vec::new();
    for home in homes() {
        let manifest = manifest(&home);
        for dependency in &manifest.normal {
            let excused = home == "proto" && generated.contains(&dependency.as_str())
                || home == "tests" && is_an_oracle(dependency);
            if !excused && !named(&home, &["src/", "build.rs", "tests/"], dependency) {
                breaches.push(format!("{home}: {dependency}"));
            }
        }
        for dependency in manifest.development.iter().chain(&manifest.build) {
            if !named(
                &home,
                &["src/", "tests/", "examples/", "benches/", "build.rs"],
                dependency,
            ) {
                breaches.push(format!("{home}: {dependency}"));
            }
        }
    }
    none("a dependency that nothing names", &breaches);
}

/// The tests' crate names what other crates' tests compare with, so that all builds resolve the same features.
fn is_an_oracle(dependency: &str) -> bool {
    let develops = |home: &String| {
        let manifest = manifest(home);
        manifest.development.iter().any(|it| it == dependency)
    };
    homes().iter().any(develops)
}

#[test]
fn versions_stand_in_one_place() {
    let mut breaches = Vec::new();
    for home in homes() {
        let manifest = manifest(&home);
        let inherited = manifest.text.matches("workspace = true").count();
        let needed = manifest.all().count();
        if inherited < needed {
            breaches.push(format!("{home}: a dependency with its own version"));
        }
        if !manifest.text.contains("[lints]\nworkspace = true") {
            breaches.push(format!("{home}: the lints are not the workspace's"));
        }
        if manifest.text.contains("git = ") {
            breaches.push(format!("{home}: a dependency from git"));
        }
    }
    none("manifests", &breaches);
}

#[test]
fn the_workspace_lists_no_unused_version() {
    let table: toml::Table = document("Cargo.toml").parse().unwrap();
    let listed = table["workspace"]["dependencies"].as_table().unwrap();
    let manifests: Vec<Manifest> = homes().iter().map(|home| manifest(home)).collect();
    let unused: Vec<String> = listed
        .keys()
        .filter(|name| !manifests.iter().any(|m| m.all().any(|d| d == *name)))
        .cloned()
        .collect();
    none("a version that no crate takes", &unused);
}
