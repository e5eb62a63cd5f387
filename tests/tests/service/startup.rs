//! Starts that must not happen end with one plain message; stops lose nothing.

use kms_tests::caller::context;
use kms_tests::daemon::{Installation, Refused, Role};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

/// The start failed with this exit code (docs/operations.md) and one line that says `words`, in small letters.
fn assert_plain(refused: &Refused, code: i32, words: &[&str]) {
    assert_eq!(refused.code, Some(code), "{refused:?}");
    let said = refused.said.to_lowercase();
    for word in words {
        assert!(said.contains(word), "no word {word:?} in: {}", refused.said);
    }
    assert!(!said.contains("panicked"), "{}", refused.said);
}

/// A folder with a finished installation, and no daemon in it.
fn stopped() -> Installation {
    let installation = Installation::new();
    assert!(installation.start().terminate().success());
    fs::write(installation.log(), "").unwrap();
    installation
}

fn config(installation: &Installation) -> toml::Table {
    let text = fs::read_to_string(installation.dir().join("kms.toml")).unwrap();
    text.parse().unwrap()
}

fn data(installation: &Installation) -> PathBuf {
    installation.dir().join("data")
}

#[test]
fn a_stop_and_a_second_start_keep_everything() {
    let installation = Installation::new();
    let daemon = installation.start();
    assert!(
        daemon
            .said
            .ends_with(&format!("ready {}\n", daemon.address)),
        "{}",
        daemon.said
    );
    let operator = installation.kms(Role::Operator);
    operator.run(&["dataset", "create", "letters"]).ok();
    let before = operator
        .run(&["dataset", "list", "--output", "json"])
        .ok()
        .json();
    let names: Vec<&str> = before
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|d| d["name"].as_str())
        .collect();
    for sample in [
        "customers",
        "invoices",
        "call-logs",
        "system-logs",
        "files",
        "backups",
        "letters",
    ] {
        assert!(
            names.iter().any(|name| name.ends_with(sample)),
            "{sample} in {names:?}"
        );
    }
    assert!(daemon.terminate().success());
    let _daemon = installation.start();
    let after = installation
        .kms(Role::Operator)
        .run(&["dataset", "list", "--output", "json"])
        .ok();
    assert_eq!(after.json(), before);
}

#[test]
fn run_takes_the_configuration_that_dev_wrote() {
    let installation = stopped();
    let path = installation.dir().join("kms.toml");
    let mut config = config(&installation);
    config["server"]
        .as_table_mut()
        .unwrap()
        .insert("listen".into(), "127.0.0.1:0".into());
    kms_tests::daemon::write_toml(&path, &config);
    let mut command = Command::new(kms_tests::binaries::server());
    command.arg("run").arg("--config").arg(&path);
    let daemon = kms_tests::daemon::Daemon::spawn(command, &installation.log()).unwrap();
    assert!(daemon.terminate().success());
}

#[test]
fn an_unknown_setting_is_refused_by_name() {
    let installation = stopped();
    let path = installation.dir().join("kms.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("surprise = 1\n{text}")).unwrap();
    assert_plain(&installation.try_start(&[]).unwrap_err(), 10, &["surprise"]);
}

#[test]
fn the_wrong_passphrase_is_named() {
    let installation = stopped();
    let config = config(&installation);
    let path = installation
        .dir()
        .join(config["seal"]["passphrase_file"].as_str().unwrap());
    fs::write(path, "not the passphrase that it was\n").unwrap();
    assert_plain(
        &installation.try_start(&[]).unwrap_err(),
        15,
        &["passphrase"],
    );
}

#[test]
fn a_port_in_use_is_named() {
    let installation = stopped();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = installation.try_start(&["--listen", &address]).unwrap_err();
    assert_plain(&refused, 13, &[&address, "in use"]);
}

#[test]
fn a_second_daemon_on_the_same_data_is_refused() {
    let installation = Installation::new();
    let daemon = installation.start();
    let refused = installation.try_start(&[]).unwrap_err();
    assert_plain(&refused, 12, &["another"]);
    assert!(daemon.terminate().success());
}

#[test]
fn a_data_directory_that_others_can_read_is_refused() {
    let installation = stopped();
    fs::set_permissions(data(&installation), fs::Permissions::from_mode(0o755)).unwrap();
    assert_plain(
        &installation.try_start(&[]).unwrap_err(),
        11,
        &["data", "chmod"],
    );
}

#[test]
fn development_mode_stays_on_this_machine() {
    let installation = Installation::new();
    let refused = installation
        .try_start(&["--listen", "0.0.0.0:0"])
        .unwrap_err();
    assert_plain(&refused, 10, &["loopback"]);
}

#[tokio::test]
async fn damaged_store_files_are_told_and_never_give_a_wrong_key() {
    let installation = Installation::new();
    let daemon = installation.start();
    let service = daemon.caller(&installation, Role::Service).await;
    let context = context("tenant", "acme");
    let made = service
        .generate("files", &context, &[])
        .await
        .unwrap()
        .into_inner();
    assert!(daemon.terminate().success());
    let whole = copy(&data(&installation));
    let victims: Vec<_> = whole
        .iter()
        .filter(|(path, bytes)| !path.to_string_lossy().contains("audit") && bytes.len() > 64)
        .collect();
    assert!(!victims.is_empty());
    let (mut refused_starts, mut starts) = (0, 0);
    for (path, bytes) in victims {
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
        for part in 1..4 {
            let mut damaged = bytes.clone();
            damaged[used * part / 4] ^= 0x10;
            fs::write(path, damaged).unwrap();
            fs::write(installation.log(), "").unwrap();
            match installation.try_start(&[]) {
                Err(refused) => {
                    refused_starts += 1;
                    assert_plain(&refused, 16, &[]);
                    assert!(refused.said.lines().count() < 40, "{}", refused.said);
                }
                Ok(daemon) => {
                    starts += 1;
                    let service = daemon.caller(&installation, Role::Service).await;
                    if let Ok(opened) = service.unwrap(&made.wrapped_data_key, &context).await {
                        assert_eq!(opened.into_inner().plaintext, made.plaintext);
                    }
                    drop(daemon);
                }
            }
            for (path, bytes) in &whole {
                fs::write(path, bytes).unwrap();
            }
        }
    }
    assert!(refused_starts > 0, "{starts} starts on damaged files");
    let daemon = installation.start();
    let service = daemon.caller(&installation, Role::Service).await;
    let opened = service
        .unwrap(&made.wrapped_data_key, &context)
        .await
        .unwrap();
    assert_eq!(opened.into_inner().plaintext, made.plaintext);
}

/// Files below a folder, with their bytes.
fn copy(folder: &std::path::Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(copy(&path));
        } else {
            let bytes = fs::read(&path).unwrap();
            files.push((path, bytes));
        }
    }
    files
}

/// A small file system of its own, unmounted at the end.
struct Small(PathBuf);

impl Small {
    /// Needs the right to mount, which a container may lack.
    fn mount(at: PathBuf, size: &str) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let options = format!("size={size},mode=0700");
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&at);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then_some(Self(at))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_named() {
    let installation = Installation::new();
    let Some(small) = Small::mount(installation.dir(), "1m") else {
        println!("no right to mount: not tested here");
        return;
    };
    fs::write(small.0.join("ballast"), vec![1; (1 << 20) - 8_192]).unwrap();
    assert_plain(&installation.try_start(&[]).unwrap_err(), 14, &["space"]);
}
