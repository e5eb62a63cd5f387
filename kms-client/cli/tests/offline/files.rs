//! Files that do not open, and files that tell what they are.

use crate::kit::Kit;
use kms_client::WrappedDataKey;
use kms_client::file::Header;
use serde_json::{Value, json};

/// A wrapped data key with an account's secret; nobody can open it.
fn wrapped() -> WrappedDataKey {
    let mut bytes = vec![1, 1];
    bytes.extend_from_slice(&[9; 16]);
    bytes.extend_from_slice(&[0, 0, 0, 3, 1, 2]);
    bytes.resize(144, 7);
    WrappedDataKey::parse(&bytes).unwrap()
}

/// An encrypted file of that key whose contents are nonsense of the right length for 5 bytes.
fn file() -> Vec<u8> {
    let mut bytes = Header::make(&wrapped()).unwrap().encode().to_vec();
    bytes.resize(bytes.len() + 56 + 5 + 16, 0xee);
    bytes
}

fn inspected(kit: &Kit, what: &str) -> Value {
    let run = kit.run(&format!("inspect {what} --output json"));
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    serde_json::from_str(&run.stdout).unwrap()
}

#[test]
fn inspect_tells_what_a_file_and_a_key_are() {
    let kit = Kit::new();
    kit.write("file", &file());
    kit.write("key", wrapped().as_bytes());
    kit.write("key.txt", format!("{}\n", wrapped().to_text()).as_bytes());
    let shown = inspected(&kit, "file");
    assert_eq!(shown["kind"], "encrypted file");
    assert_eq!(shown["dataset_key_id"], "09".repeat(16));
    assert_eq!(shown["version"], 3);
    assert_eq!(shown["plaintext_bytes"], 5);
    assert_eq!(shown["header"], "sound");
    let secrets = json!([{"kind": "account", "id": "07".repeat(16)}]);
    assert_eq!(shown["shred_secrets"], secrets);
    for what in ["key", "key.txt", &wrapped().to_text()] {
        let shown = inspected(&kit, what);
        assert_eq!(shown["kind"], "wrapped data key");
        assert_eq!(shown["shred_secrets"], secrets);
    }
    let table = kit.run("inspect file").stdout;
    assert!(table.contains("dataset key   0909"), "{table}");
}

#[test]
fn inspect_tells_of_damage_and_of_strangers() {
    let kit = Kit::new();
    let mut bytes = file();
    bytes[700] ^= 1;
    bytes.truncate(bytes.len() - 22);
    kit.write("file", &bytes);
    let shown = inspected(&kit, "file");
    assert_eq!(shown["header"], "one slot damaged");
    assert_eq!(shown["complete"], false);
    kit.write("stranger", b"hello");
    kit.run("inspect stranger")
        .failed(1, "stranger: not made by kms");
    kit.run("inspect missing")
        .failed(1, "missing: No such file");
    kit.run("inspect kms1:AQE!").failed(1, "base64url");
    kit.run("inspect .").failed(1, "directory");
}

#[test]
fn what_does_not_open_leaves_nothing() {
    let kit = Kit::new();
    kit.write_profile();
    kit.write("stranger", b"hello");
    let before = kit.names();
    kit.run_with_profile("decrypt stranger -o out")
        .failed(1, "stranger: not a file that kms encrypted");
    kit.run_with_profile("decrypt missing -o out")
        .failed(1, "missing: No such file");
    kit.run_with_profile("rewrap stranger")
        .failed(69, "cannot be reached");
    assert_eq!(kit.names(), before);
}

#[test]
fn without_a_service_nothing_is_made_or_changed() {
    let kit = Kit::new();
    kit.write_profile();
    kit.write("plain", b"hello");
    kit.write("file", &file());
    kit.write("out", b"old");
    let before = kit.names();
    for line in [
        "encrypt files plain -o out",
        "encrypt files plain -o new",
        "decrypt file -o out",
        "decrypt file -o new",
        "status",
        "key rotate files",
        "rewrap file",
    ] {
        kit.run_with_profile(line).failed(69, "cannot be reached");
    }
    assert_eq!(kit.names(), before);
    assert_eq!(std::fs::read(kit.path("out")).unwrap(), b"old");
    assert_eq!(
        std::fs::read(kit.path("file")).unwrap()[1024..],
        file()[1024..]
    );
}
