//! What leaves the house: whole ranges that need nothing but the public key to be believed.

mod requirements;

use super::{key, path, with_checkpoint};
use kms_tests::console::Said;
use kms_tests::daemon::{Daemon, Installation, Role};
use serde_json::Value;
use std::path::PathBuf;

struct Exported {
    installation: Installation,
    folder: PathBuf,
    daemon: Option<Daemon>,
}

impl Exported {
    async fn new(format: &str) -> Self {
        let installation = Installation::new();
        let exported = Self {
            daemon: Some(with_checkpoint(&installation, 330).await),
            folder: path(&installation, "export"),
            installation,
        };
        exported.make(format, &[]).ok();
        exported
    }

    fn make(&self, format: &str, more: &[&str]) -> Said {
        let (key, folder) = (key(&self.installation), self.folder.to_str().unwrap());
        let args = [
            "audit", "export", "--format", format, "--key", &key, "-o", folder,
        ];
        let kms = self.installation.kms(Role::Auditor);
        kms.run(&[&args[..], more].concat())
    }

    /// Without a service.
    fn verify(&self) -> Said {
        let (key, folder) = (key(&self.installation), self.folder.to_str().unwrap());
        let args = [
            "audit", "verify", "--export", folder, "--key", &key, "--output", "json",
        ];
        self.installation.kms(Role::Service).run(&args)
    }

    fn lines(&self, file: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.join(file)).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn listed(&self, count: usize) -> Vec<Value> {
        let count = count.to_string();
        let args = [
            "audit",
            "list",
            "--output",
            "json",
            "--from-sequence",
            "0",
            "--limit",
            &count,
        ];
        let kms = self.installation.kms(Role::Auditor);
        kms.run(&args).ok().json().as_array().unwrap().clone()
    }
}

/// The daemon is stopped while the export is verified, and what was listed is what was exported, field by field.
#[tokio::test]
async fn an_export_needs_nothing_but_the_public_key_and_says_what_the_list_says() {
    let mut exported = Exported::new("jsonl").await;
    let lines = exported.lines("entries.jsonl");
    let listed = exported.listed(lines.len());
    assert!(exported.daemon.take().unwrap().terminate().success());
    let checked = exported.verify().ok().json();
    assert_eq!(checked["entries"].as_u64().unwrap(), lines.len() as u64);
    assert!(lines.len() > 330, "{}", lines.len());
    for (line, entry) in lines.iter().zip(&listed) {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(&line, entry);
    }
}

#[tokio::test]
async fn a_range_of_time_is_exported_whole() {
    let installation = Installation::new();
    let exported = Exported {
        daemon: Some(with_checkpoint(&installation, 400).await),
        folder: path(&installation, "export"),
        installation,
    };
    let listed = exported.listed(400);
    let time = |at: usize| listed[at]["time"].as_str().unwrap().to_owned();
    let (from, to) = (time(100), time(300));
    exported.make("jsonl", &["--from", &from, "--to", &to]).ok();
    exported.verify().ok();
    let lines = exported.lines("entries.jsonl");
    let inside = |entry: &&Value| {
        let time = entry["time"]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .unwrap();
        (from.parse().unwrap()..to.parse().unwrap()).contains(&time)
    };
    let inside: Vec<_> = listed.iter().filter(inside).collect();
    let sequence = |entry: &Value| entry["sequence"].as_u64().unwrap();
    let first: Value = serde_json::from_str(&lines[0]).unwrap();
    let last: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    assert_eq!(sequence(&first), sequence(inside[0]));
    assert_eq!(sequence(&last), sequence(inside.last().unwrap()));
    assert_eq!(lines.len() as u64, sequence(&last) - sequence(&first) + 1);
    // a folder that is there is not written into
    let again = exported.make("jsonl", &[]);
    assert_eq!(again.code, 1, "{again:?}");
}

#[tokio::test]
async fn what_is_changed_in_an_export_is_found() {
    let exported = Exported::new("jsonl").await;
    exported.verify().ok();
    let (file, manifest) = (
        exported.folder.join("entries.jsonl"),
        exported.folder.join("manifest.json"),
    );
    let good = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<_> = good.split_inclusive('\n').collect();
    let mut swapped = lines.clone();
    swapped.swap(3, 4);
    let mut doubled = lines.clone();
    doubled.insert(3, lines[3]);
    let other_time = lines[5].replacen("\"time\":\"2", "\"time\":\"1", 1);
    let mut retimed = lines.clone();
    retimed[5] = &other_time;
    let renamed = good.replacen("DENIED", "OK", 1);
    for (bad, words) in [
        (lines[1..].concat(), "entry 0: entry 1 stands in its place"),
        (lines[..lines.len() - 1].concat(), "it ends before entry"),
        (swapped.concat(), "entry 3: entry 4 stands in its place"),
        (doubled.concat(), "entry 4: entry 3 stands in its place"),
        (retimed.concat(), "entry 5: its line gives another time"),
        (renamed, "the file is not the one that was signed"),
    ] {
        assert_ne!(bad, good, "{words}");
        std::fs::write(&file, bad).unwrap();
        let said = exported.verify();
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.err.contains(words), "{words}: {said:?}");
    }
    std::fs::write(&file, &good).unwrap();
    let text = std::fs::read_to_string(&manifest).unwrap();
    for (from, to) in [
        ("\"first\": 0", "\"first\": 1"),
        ("/export\\n", "/import\\n"),
        ("\"form\": \"jsonl\"", "\"form\": \"csv\""),
    ] {
        let bad = text.replacen(from, to, 1);
        assert_ne!(bad, text, "{from}");
        std::fs::write(&manifest, bad).unwrap();
        assert_eq!(exported.verify().code, 1, "{from}");
    }
}

#[tokio::test]
async fn csv_has_a_line_for_each_entry() {
    let exported = Exported::new("csv").await;
    exported.verify().ok();
    let lines = exported.lines("entries.csv");
    let listed = exported.listed(lines.len() - 1);
    let names: Vec<_> = lines[0].split(',').collect();
    for (line, entry) in lines[1..].iter().zip(&listed) {
        let cells = cells(line);
        assert_eq!(cells.len(), names.len(), "{line}");
        for (name, cell) in names.iter().zip(&cells) {
            match &entry[*name] {
                Value::String(text) => assert_eq!(cell, text, "{name}"),
                Value::Number(number) => assert_eq!(cell, &number.to_string(), "{name}"),
                Value::Null => assert!(cell.is_empty(), "{name}"),
                Value::Object(pairs) => {
                    for (key, value) in pairs {
                        let pair = format!("{key}={}", value.as_str().unwrap());
                        assert!(cell.contains(&pair), "{name}: {cell}");
                    }
                }
                Value::Array(items) => assert_eq!(cell.is_empty(), items.is_empty(), "{name}"),
                Value::Bool(_) => panic!("{name}"),
            }
        }
    }
}

/// The cells of a line, as RFC 4180 says.
fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => cell.extend(chars.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(std::mem::take(&mut cell)),
            c => cell.push(c),
        }
    }
    cells.push(cell);
    cells
}

#[tokio::test]
async fn ocsf_says_the_same_in_its_own_words() {
    let exported = Exported::new("ocsf").await;
    exported.verify().ok();
    let lines = exported.lines("entries.ocsf.jsonl");
    let listed = exported.listed(lines.len());
    for (line, entry) in lines.iter().zip(&listed) {
        let event: Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["specversion"], "1.0");
        assert_eq!(event["time"], entry["time"]);
        let data = &event["data"];
        assert_eq!(data["class_uid"], 6003);
        assert_eq!(data["metadata"]["sequence"], entry["sequence"]);
        assert_eq!(data["metadata"]["correlation_uid"], entry["request_id"]);
        let nobody = Value::from("");
        let user = data["actor"]["user"].get("name").unwrap_or(&nobody);
        assert_eq!(user, &entry["principal"]);
        requirements::assert_met(data);
        assert_eq!(data["raw_data"], entry["leaf"]);
        assert_eq!(
            data["unmapped"]["lasting_context"],
            entry["lasting_context"]
        );
        let failed = !["OK", ""].contains(&entry["outcome"].as_str().unwrap());
        assert_eq!(data["status_id"] == 2, failed, "{line}");
    }
}
