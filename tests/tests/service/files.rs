//! Files through the command line: whole through rotations and a crash, refused when anything is wrong, in little
//! memory.

use crate::scale;
use kms_tests::console::{Console, Said, said};
use kms_tests::daemon::{Installation, Role};
use kms_tests::gauge::peak_resident;
use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

const MIB: usize = 1 << 20;
/// Peak memory of `kms`, whatever the file's size.
const MEMORY_MAX: u64 = 128 << 20;

fn noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    SmallRng::seed_from_u64(7).fill_bytes(&mut bytes);
    bytes
}

/// A running installation with one encrypted file.
struct Scene {
    installation: Installation,
    daemon: Option<kms_tests::daemon::Daemon>,
    text: Vec<u8>,
}

impl Scene {
    fn new(len: usize) -> Self {
        let installation = Installation::new();
        let daemon = installation.start();
        let text = noise(len);
        fs::write(installation.scratch().join("plain"), &text).unwrap();
        let scene = Self {
            installation,
            daemon: Some(daemon),
            text,
        };
        scene
            .kms()
            .run(&[
                "encrypt",
                "files",
                "plain",
                "-o",
                "sealed.kms",
                "--context",
                "tenant=acme",
            ])
            .ok();
        scene
    }

    fn kms(&self) -> Console {
        self.installation.kms(Role::Service)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.installation.scratch().join(name)
    }

    fn decrypt(&self, from: &str, to: &str) -> Said {
        self.kms()
            .run(&["decrypt", from, "-o", to, "--context", "tenant=acme"])
    }

    fn assert_opens(&self, from: &str) -> Said {
        let said = self.decrypt(from, "opened").ok();
        assert!(
            fs::read(self.path("opened")).unwrap() == self.text,
            "{from}"
        );
        fs::remove_file(self.path("opened")).unwrap();
        said
    }

    /// One clear line, an exit code, no output file and nothing left beside it.
    fn assert_refused(&self, why: &str, said: &Said) {
        assert_ne!(said.code, 0, "{why}: {said:?}");
        assert_ne!(said.code, 101, "{why}: {said:?}");
        let lines = said
            .err
            .lines()
            .filter(|line| !line.contains("development service"))
            .count();
        assert_eq!(lines, 1, "{why}: {said:?}");
        assert!(said.out.is_empty(), "{why}: {said:?}");
        let left: Vec<String> = names(self.installation.scratch());
        assert!(
            !left.iter().any(|name| name.contains("refused")),
            "{why}: {left:?}"
        );
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn a_file_survives_rotations_and_a_crash() {
    let mut scene = Scene::new(scale(48, 1024) * MIB);
    let operator = scene.installation.kms(Role::Operator);
    operator.run(&["key", "rotate", "files"]).ok();
    scene.assert_opens("sealed.kms");
    operator
        .run(&["key", "rotate", "files", "--emergency", "--reason", "drill"])
        .ok();
    scene.daemon.take().unwrap().kill();
    scene.daemon = Some(scene.installation.start());
    scene.assert_opens("sealed.kms");
    // What was made before the emergency is told apart.
    let versions = operator
        .run(&["key", "versions", "files", "--output", "json"])
        .ok()
        .json();
    let versions = versions.as_array().unwrap();
    assert_eq!(versions.len(), 3);
    for version in versions {
        let number = version["version"].as_u64().unwrap();
        assert_eq!(version["state"] == "ACTIVE", number == 3, "{version}");
        assert_eq!(
            version["compromised"].is_null() || version["compromised"] == false,
            number == 3,
            "{version}"
        );
        for key in ["created_at", "uses", "last_used_at"] {
            assert!(version.get(key).is_some(), "{key} in {version}");
        }
    }
    assert!(versions[0]["uses"].as_u64().unwrap() >= 3, "{versions:?}");
}

#[test]
fn little_memory_for_any_size() {
    let len = scale(192, 1024) * MIB;
    let installation = Installation::new();
    let _daemon = installation.start();
    let kms = installation.kms(Role::Service);
    // Fed through a pipe, all but the last byte: the peak is read while the process still waits for the rest.
    let mut encrypt = kms
        .command(&["encrypt", "files", "-", "-o", "sealed.kms"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = encrypt.stdin.take().unwrap();
    let block = noise(MIB);
    for _ in 0..len / MIB {
        input.write_all(&block).unwrap();
    }
    let piped = peak_resident(encrypt.id());
    input.write_all(b"!").unwrap();
    drop(input);
    said(&encrypt.wait_with_output().unwrap()).ok();
    assert!(piped < MEMORY_MAX, "encrypt from a pipe: {piped}");
    for args in [
        &["decrypt", "sealed.kms", "-o", "plain"][..],
        &["encrypt", "files", "plain", "-o", "again.kms"],
    ] {
        let peak = peak_of(&kms, args);
        assert!(peak < MEMORY_MAX, "{args:?}: {peak}");
    }
    assert_eq!(
        fs::metadata(installation.scratch().join("plain"))
            .unwrap()
            .len(),
        len as u64 + 1
    );
}

/// The highest figure seen while the command runs.
fn peak_of(kms: &Console, args: &[&str]) -> u64 {
    let mut child = kms.command(args).spawn().unwrap();
    let mut peak = 0;
    loop {
        let path = format!("/proc/{}/status", child.id());
        let status = fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or(0) * 1024);
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{args:?}");
            return peak;
        }
        std::thread::yield_now();
    }
}

#[test]
fn the_wrong_context_is_refused() {
    let scene = Scene::new(100_000);
    for context in [
        &[][..],
        &["--context", "tenant=other"],
        &["--context", "tenant=acme", "--context", "more=x"],
    ] {
        let args = [&["decrypt", "sealed.kms", "-o", "refused"][..], context].concat();
        scene.assert_refused("wrong context", &scene.kms().run(&args));
    }
    scene.assert_opens("sealed.kms");
}

#[test]
fn a_flipped_byte_anywhere_is_refused_or_mended() {
    let scene = Scene::new(100_000);
    let sealed = fs::read(scene.path("sealed.kms")).unwrap();
    let spare = spare_bytes(&sealed);
    let last = sealed.len() - 1;
    // All of the beginning coarsely, then the edges of chunks and the end.
    let mut places: Vec<usize> = (0..700).step_by(scale(41, 1)).collect();
    places.extend([700 + 16_384, 50_000, last - 20, last]);
    let mut mended = 0;
    for place in places {
        let mut damaged = sealed.clone();
        damaged[place] ^= 1;
        fs::write(scene.path("damaged.kms"), &damaged).unwrap();
        let said = scene.decrypt("damaged.kms", "refused");
        if said.code == 0 {
            assert!(
                fs::read(scene.path("refused")).unwrap() == scene.text,
                "byte {place}"
            );
            assert!(said.err.contains("warning"), "byte {place}: {said:?}");
            assert!(place < spare, "byte {place} is not part of the header");
            fs::remove_file(scene.path("refused")).unwrap();
            mended += 1;
        } else {
            scene.assert_refused(&format!("byte {place}"), &said);
        }
    }
    assert!(
        mended > 0,
        "a flip in one slot of the header is mended by the other"
    );
}

/// Length of the header: all that is not the cobblestone message (salt 24, commitment 32, tag 16 a chunk).
fn spare_bytes(sealed: &[u8]) -> usize {
    let text = 100_000;
    let chunks = text / 16_384 + 1;
    sealed.len() - (24 + 32 + text + 16 * chunks)
}

#[test]
fn a_shortened_or_lengthened_file_is_refused() {
    let scene = Scene::new(100_000);
    let sealed = fs::read(scene.path("sealed.kms")).unwrap();
    let header = spare_bytes(&sealed);
    for len in [
        0,
        1,
        header - 1,
        header,
        header + 56,
        header + 56 + 16_400,
        sealed.len() - 1,
    ] {
        fs::write(scene.path("damaged.kms"), &sealed[..len]).unwrap();
        scene.assert_refused(
            &format!("{len} bytes"),
            &scene.decrypt("damaged.kms", "refused"),
        );
    }
    let longer = [&sealed[..], b"x"].concat();
    fs::write(scene.path("damaged.kms"), longer).unwrap();
    scene.assert_refused("one more", &scene.decrypt("damaged.kms", "refused"));
}

#[test]
fn nothing_is_overwritten_and_empty_files_work() {
    let scene = Scene::new(0);
    scene.assert_opens("sealed.kms");
    // A failure leaves what stood at the output's name.
    fs::write(scene.path("kept"), b"kept").unwrap();
    let said = scene.kms().run(&[
        "decrypt",
        "sealed.kms",
        "-o",
        "kept",
        "--context",
        "tenant=no",
    ]);
    assert_ne!(said.code, 0);
    assert_eq!(fs::read(scene.path("kept")).unwrap(), b"kept");
    let said = scene
        .kms()
        .run(&["decrypt", "missing.kms", "-o", "refused"]);
    scene.assert_refused("no such file", &said);
    let said = scene
        .kms()
        .run(&["encrypt", "no-such-dataset", "plain", "-o", "refused"]);
    scene.assert_refused("no such dataset", &said);
    assert_eq!(said.code, 3, "{said:?}");
}

#[test]
fn pipes_work() {
    let scene = Scene::new(50_000);
    let mut child = scene
        .kms()
        .command(&["encrypt", "files"])
        .stdin(Stdio::from(fs::File::open(scene.path("plain")).unwrap()))
        .spawn()
        .unwrap();
    let mut sealed = Vec::new();
    std::io::Read::read_to_end(&mut child.stdout.take().unwrap(), &mut sealed).unwrap();
    assert!(child.wait().unwrap().success());
    fs::write(scene.path("piped.kms"), &sealed).unwrap();
    let output = scene
        .kms()
        .command(&["decrypt"])
        .stdin(Stdio::from(
            fs::File::open(scene.path("piped.kms")).unwrap(),
        ))
        .output()
        .unwrap();
    assert!(output.status.success(), "{:?}", said(&output));
    assert!(output.stdout == scene.text);
    // A damaged end: authenticated chunks may have been written, so the exit code says so.
    let end = sealed.len() - 1;
    sealed[end] ^= 1;
    fs::write(scene.path("piped.kms"), &sealed).unwrap();
    let output = scene
        .kms()
        .command(&["decrypt"])
        .stdin(Stdio::from(
            fs::File::open(scene.path("piped.kms")).unwrap(),
        ))
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(scene.text.starts_with(&output.stdout));
    assert!(output.stdout.len() < scene.text.len());
}

#[test]
fn nothing_is_decrypted_without_the_service() {
    let mut scene = Scene::new(1_000);
    assert!(scene.daemon.take().unwrap().terminate().success());
    let said = scene.decrypt("sealed.kms", "refused");
    scene.assert_refused("no service", &said);
    assert_eq!(said.code, 69, "{said:?}");
    let said = scene
        .kms()
        .run(&["encrypt", "files", "plain", "-o", "refused"]);
    scene.assert_refused("no service", &said);
    // What a blob is can be told offline.
    let said = scene.kms().run(&["inspect", "sealed.kms"]).ok();
    assert!(!said.out.is_empty());
}
