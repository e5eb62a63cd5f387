//! What README.md shows is what happens: its commands are run as they stand there.

use kms_tests::binaries;
use kms_tests::daemon::{Installation, Role};
use std::fs;
use std::process::{Command, Stdio};

/// The shell blocks of README.md, in order.
fn blocks() -> Vec<String> {
    let text = fs::read_to_string(binaries::checkout().join("README.md")).unwrap();
    text.split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

#[test]
fn the_first_commands_are_the_promised_ones() {
    let blocks = blocks();
    assert_eq!(blocks[0].trim(), "cargo run --release -p kms-server -- dev");
    assert_eq!(
        blocks[1].trim(),
        "cargo test --release --workspace --locked"
    );
    let check = fs::read_to_string(binaries::checkout().join(".ci/run")).unwrap();
    assert!(
        check.contains(blocks[1].trim()),
        "CI runs another test command"
    );
}

#[test]
fn the_tour_works_as_written() {
    // The first block is the daemon, which runs already; the second are the tests, which run now.
    let tour: Vec<String> = blocks().into_iter().skip(2).collect();
    assert!(tour.len() >= 4, "README.md shows a tour");
    let installation = Installation::new();
    let _daemon = installation.start();
    let folder = installation.scratch();
    // The tour's paths: the checkout's target folder, and the folder that `dev` makes by default.
    std::os::unix::fs::symlink(installation.dir(), folder.join("kms-dev")).unwrap();
    fs::create_dir_all(folder.join("target")).unwrap();
    let release = binaries::kms().parent().unwrap().to_path_buf();
    std::os::unix::fs::symlink(release, folder.join("target/release")).unwrap();
    for role in Role::ALL {
        let name = format!("{}.toml", role.name());
        fs::copy(installation.profile(role), installation.dir().join(name)).unwrap();
    }
    // Cargo runs in the checkout; all else here.
    let cargo = format!(
        "cargo() {{ (cd '{}' && command cargo \"$@\"); }}\n",
        binaries::checkout().display()
    );
    let script = format!("set -euo pipefail\n{cargo}set -x\n{}", tour.join("\n"));
    fs::write(folder.join("tour.sh"), script).unwrap();
    let output = Command::new("bash")
        .current_dir(folder)
        .arg("tour.sh")
        .env(
            "CARGO_TARGET_DIR",
            binaries::kms().ancestors().nth(2).unwrap(),
        )
        .env_remove("KMS_PROFILE")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = kms_tests::console::said(&output);
    assert_eq!(said.code, 0, "{}\n{}", said.out, said.err);
}
