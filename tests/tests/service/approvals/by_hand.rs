//! What people do outside of the service: keys of OpenSSH, and enrolling with an authenticator.

use data_encoding::{BASE32_NOPAD, BASE64};
use kms_core::time::Timestamp;
use kms_tests::console::{Console, said};
use kms_tests::operator::totp;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Steps before now of the code that enrols: later ones are left for what is done then.
const ENROLS_BEFORE: u64 = 15_000;

pub(super) fn make_openssh_key(path: &Path) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"])
        .arg(path)
        .status();
    assert!(made.unwrap().success());
}

/// Public key and signature, by `ssh-keygen`.
pub(super) fn sign(key: &Path, message: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut child = Command::new("ssh-keygen")
        .args(["-q", "-Y", "sign", "-n", "kms.v1.approval", "-f"])
        .arg(key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(message).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let armoured = String::from_utf8(output.stdout).unwrap();
    let text: String = armoured
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect();
    let public = fs::read_to_string(key.with_extension("pub")).unwrap();
    let public = public.split(' ').nth(1).unwrap().trim().to_owned();
    let decode = |text: &str| BASE64.decode(text.as_bytes()).unwrap();
    (decode(&public), decode(&text))
}

/// `kms mfa enroll` with an authenticator whose secret is left in the file that the profile names.
pub(super) fn enrols(
    console: &Console,
    (user, token): (&str, &str),
    (password, secret): (&Path, &Path),
    now: Timestamp,
) {
    // of the authenticator before
    let _ = fs::remove_file(secret);
    let mut enrolling = console
        .command(&["mfa", "enroll", "--user", user, "--token", token])
        .arg("--password-file")
        .arg(password)
        .arg("--secret-file")
        .arg(secret)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    // it is written whole before the code is waited for
    let shared = loop {
        match fs::read_to_string(secret) {
            Ok(text) if text.ends_with('\n') => break text,
            _ if enrolling.try_wait().unwrap().is_none() => {}
            _ => panic!("{:?}", said(&enrolling.wait_with_output().unwrap())),
        }
    };
    let shared = BASE32_NOPAD.decode(shared.trim().as_bytes()).unwrap();
    let now = u64::try_from(now.as_micros()).unwrap() / 30_000_000;
    let step = now - ENROLS_BEFORE;
    let mut last = secret.as_os_str().to_owned();
    last.push(".step");
    fs::write(last, format!("{step}\n")).unwrap();
    let mut input = enrolling.stdin.take().unwrap();
    writeln!(input, "{}", totp(&shared, step)).unwrap();
    drop(input);
    let _ = said(&enrolling.wait_with_output().unwrap()).ok();
}
