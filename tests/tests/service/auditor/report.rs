//! The report: one file, whole without a network and without scripts, checked by a browser where there is one.

use super::{key, path, with_checkpoint};
use crate::has_tool;
use kms_tests::console::Said;
use kms_tests::daemon::{Daemon, Installation, Role};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

struct Scene {
    installation: Installation,
    _daemon: Daemon,
}

/// An installation with something to report: use, refusals, a rotation, a destruction, an operator.
async fn scene(calls: usize) -> Scene {
    let installation = Installation::new();
    let daemon = with_checkpoint(&installation, calls).await;
    let operator = installation.kms(Role::Operator);
    operator.run(&["key", "rotate", "files"]).ok();
    let jane = [
        "--account",
        "acme",
        "--subject",
        "jane",
        "--class",
        "customer",
    ];
    let reason = ["--reason", "<b>request 17</b>", "--confirm", "jane"];
    let service = installation.kms(Role::Service);
    std::fs::write(path(&installation, "plain"), "x").unwrap();
    let encrypt = [
        "encrypt",
        "customers",
        "plain",
        "-o",
        "made",
        "--account",
        "acme",
        "--subject",
        "jane",
    ];
    service.run(&encrypt).ok();
    operator
        .run(&[&["shred", "destroy"], &jane[..], &reason].concat())
        .ok();
    operator
        .insist(&["operator", "add", "carol", "--role", "auditor"])
        .ok();
    // a checkpoint over all of it
    assert!(daemon.terminate().success());
    let daemon = installation.start();
    Scene {
        installation,
        _daemon: daemon,
    }
}

fn report(scene: &Scene, more: &[&str]) -> Said {
    let key = key(&scene.installation);
    let args = ["audit", "report", "--from", "30d", "--key", &key];
    let kms = scene.installation.kms(Role::Auditor);
    kms.run(&[&args[..], more].concat())
}

/// The page as the browser has it after the script has run; `None` without a browser.
fn rendered(page: &Path) -> Option<String> {
    if !has_tool("chromium") {
        eprintln!("not rendered: install the package chromium (Debian: apt-get install chromium)");
        return None;
    }
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--virtual-time-budget=20000",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg("--dump-dom")
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}

fn said_by_script(dom: &str) -> String {
    let at = dom.find("<output").unwrap();
    let rest = &dom[at..];
    let (begin, end) = (rest.find('>').unwrap() + 1, rest.find("</output>").unwrap());
    rest[begin..end].to_owned()
}

#[tokio::test]
async fn a_report_is_one_file_that_a_browser_verifies() {
    let scene = scene(120).await;
    let file = path(&scene.installation, "report.html");
    report(&scene, &["-o", file.to_str().unwrap()]).ok();
    let html = std::fs::read_to_string(&file).unwrap();
    for words in [
        "verified: all",
        "DestroyShredSecret",
        "AddOperator",
        "<svg",
        "call-logs",
        "R29",
        "the CRM's own duty",
        "&lt;b&gt;request 17&lt;/b&gt;",
        "default-src 'none'",
        "A development instance",
    ] {
        let escaped = words.replace('\'', "&#39;");
        assert!(html.contains(words) || html.contains(&escaped), "{words}");
    }
    // nothing is fetched, nothing has a style or handler of its own, nothing foreign is markup
    for never in [
        "http://",
        "https://",
        "src=",
        "@import",
        "url(",
        " style=",
        " onclick=",
        "<b>request",
        "<link",
        "<iframe",
    ] {
        assert!(!html.contains(never), "{never}");
    }
    let Some(dom) = rendered(&file) else { return };
    let said = said_by_script(&dom);
    let json = report(&scene, &["--output", "json"]).ok().json();
    let proofs = json["proofs"].as_array().unwrap().len();
    assert!(proofs >= 3, "{proofs}");
    assert_eq!(
        said,
        format!("{proofs} of {proofs} proofs hold under this key, checked in this browser.")
    );
    // another byte in one entry
    let leaf = json["proofs"][1]["leaf"].as_str().unwrap();
    let mut bad_leaf = leaf.to_owned();
    let last = if leaf.as_bytes()[120] == b'A' {
        "B"
    } else {
        "A"
    };
    bad_leaf.replace_range(120..121, last);
    let bad = html.replace(leaf, &bad_leaf);
    assert_ne!(bad, html);
    let dom = rendered(&written(&scene, &bad)).unwrap();
    assert!(said_by_script(&dom).starts_with(&format!("{} of {proofs}", proofs - 1)));
    // another key, and a script that is not ours
    let other = Installation::new();
    drop(other.start());
    let other = std::fs::read_to_string(key(&other)).unwrap();
    let ours = std::fs::read_to_string(key(&scene.installation)).unwrap();
    let bad = html.replace(ours.trim(), other.trim());
    let dom = rendered(&written(&scene, &bad)).unwrap();
    assert!(
        said_by_script(&dom).contains("not certified"),
        "{}",
        said_by_script(&dom)
    );
    let foreign =
        "<script>document.getElementById('checked').textContent = 'foreign'</script></body>";
    let bad = html.replace("</body>", foreign);
    let dom = rendered(&written(&scene, &bad)).unwrap();
    assert_eq!(said_by_script(&dom), said);
}

fn written(scene: &Scene, html: &str) -> std::path::PathBuf {
    let file = path(&scene.installation, "changed.html");
    std::fs::write(&file, html).unwrap();
    file
}

#[tokio::test]
async fn the_json_form_counts_what_was_done() {
    let scene = scene(120).await;
    let json = report(&scene, &["--output", "json"]).ok().json();
    assert_eq!(json["verdict"]["holds"], true);
    let tally = |action: &str| {
        let actions = json["actions"].as_array().unwrap();
        actions
            .iter()
            .find(|one| one["name"] == action)
            .cloned()
            .unwrap()
    };
    let generated = tally("GenerateDataKey");
    // every third of 120 went well, and the file; the others were denied
    assert_eq!(
        (&generated["done"], &generated["refused"]),
        (&Value::from(41), &Value::from(80))
    );
    let datasets = json["datasets"].as_array().unwrap();
    let files = datasets.iter().find(|one| one["name"] == "files").unwrap();
    assert_eq!(files["versions"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&files["complies"], &files["active_days"]),
        (&Value::Bool(true), &Value::from(0))
    );
    assert_eq!(
        json["destruction"]["newest"][0]["action"],
        "DestroyShredSecret"
    );
    assert_eq!(json["people"]["newest"][0]["action"], "AddOperator");
    let sessions = json["sessions"].as_array().unwrap();
    let opened = |row: &Value| row["action"] == "Login" && row["outcome"] == "OK";
    assert!(sessions.iter().any(opened), "{sessions:?}");
    assert_eq!(json["controls"].as_array().unwrap().len(), 29);
    let denied = json["denials"].as_array().unwrap();
    assert!(
        denied
            .iter()
            .any(|row| row["outcome"] == "DENIED" && row["items"] == 80),
        "{denied:?}"
    );
}

/// A log that root changed: the report says so, and so does the exit code.
#[tokio::test]
async fn a_report_over_a_changed_log_says_so() {
    // a bundle that is full is never written again
    let scene = scene(300).await;
    let bundle = scene.installation.dir().join("data/audit/tile/entries/000");
    let mut bytes = std::fs::read(&bundle).unwrap();
    bytes[2 + 34 + 7] ^= 1;
    std::fs::write(&bundle, bytes).unwrap();
    let file = path(&scene.installation, "report.html");
    let said = report(&scene, &["-o", file.to_str().unwrap()]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.err.contains("entry 0: its bytes were changed"),
        "{said:?}"
    );
    let html = std::fs::read_to_string(&file).unwrap();
    assert!(
        html.contains("the log does not hold"),
        "the report says so too"
    );
}
