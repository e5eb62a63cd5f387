use super::*;
use crate::config::SynchronisedProbe;
use crate::system::clock::ManualClock;
use kms_core::cipher::system_entropy::SystemEntropy;
use kms_core::policy::Role;
use kms_core::time::Timestamp;
use std::os::unix::fs::PermissionsExt;

fn clock() -> Arc<dyn Clock> {
    // 2026-11-24
    Arc::new(ManualClock::new(Timestamp::from_micros(
        1_795_478_400_000_000,
    )))
}

fn start(place: &Path) -> Result<Prepared, Failure> {
    start_on(place, Some("127.0.0.1:0"))
}

fn start_on(place: &Path, listen: Option<&str>) -> Result<Prepared, Failure> {
    let options = Options {
        directory: place.to_owned(),
        listen: listen.map(|text| text.parse().unwrap()),
        tree: true,
    };
    prepare(&options, &clock(), &SystemEntropy::new())
}

/// Every file below, with its bytes and mode.
fn contents(place: &Path) -> Vec<(PathBuf, Vec<u8>, u32)> {
    let mut found = Vec::new();
    let mut left = vec![place.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else {
                let mode = path.metadata().unwrap().permissions().mode() & 0o777;
                found.push((path.clone(), fs::read(&path).unwrap(), mode));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_first_start_makes_everything_and_a_second_changes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path().join("new/dev");
    let first = start(&place).unwrap();
    let listen = first.config.server.listen;
    assert_eq!(first.listener.local_addr().unwrap(), listen);
    assert_ne!(listen.port(), 0);
    for name in [
        "kms.toml",
        "seal.passphrase",
        "audit.pub",
        "service.toml",
        "operator.toml",
        "auditor.toml",
        "pki/ca.pem",
        "pki/server.key",
        "pki/service.pem",
        "data/keyring",
        "data/store/db",
    ] {
        assert!(place.join(name).exists(), "{name}");
    }
    for (path, _, mode) in contents(&place) {
        let text = path.display();
        let store = path.starts_with(place.join("data/store"));
        assert!(store || mode & 0o077 == 0, "{text} {mode:o}");
    }
    directory::check_private(&first.config.data.directory).unwrap();
    drop(first);
    let before = contents(&place);
    let second = start_on(&place, None).unwrap();
    assert_eq!(second.config.server.listen, listen);
    assert_eq!(contents(&place), before);
}

#[test]
fn the_written_configuration_says_who_may_do_what_and_unseals() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path().join("dev");
    let Prepared { config, .. } = start(&place).unwrap();
    let roles: Vec<_> = config
        .principals
        .roles
        .values()
        .flat_map(|roles| roles.iter())
        .collect();
    let desk = Role::OperatorCertificate;
    assert_eq!(roles, [desk, desk, desk, Role::Service]);
    assert!(config.dev_mode);
    assert_eq!(config.clock.synchronised, None::<SynchronisedProbe>);
    let keyring = Keyring::open(&config.data.keyring()).unwrap();
    keyring
        .check_instance(config.seal.instance_fingerprint)
        .unwrap();
    let file = config.seal.passphrase_file.unwrap();
    let passphrase = Passphrase::new(private_file::read_secret(&file).unwrap());
    keyring.unseal(&passphrase).unwrap();
}

#[test]
fn the_announcement_warns_and_has_every_blank_filled_in() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path().join("dev");
    let first = start(&place).unwrap().announcement;
    assert!(first.contains("DEVELOPMENT ONLY"), "{first}");
    assert!(first.contains("seal.passphrase"), "{first}");
    assert!(first.contains("made"), "{first}");
    assert!(!first.contains('{'), "{first}");
    let second = start(&place).unwrap().announcement;
    assert!(second.contains("resumed"), "{second}");
    let file = fs::read_to_string(place.join("kms.toml")).unwrap();
    assert!(!file.contains('{'), "{file}");
}

#[test]
fn profiles_follow_the_address() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path().join("dev");
    let port = start(&place).unwrap().config.server.listen.port();
    let again = start(&place).unwrap();
    let listen = again.config.server.listen;
    let profile = fs::read_to_string(place.join("operator.toml")).unwrap();
    assert!(
        profile.contains(&format!("address = \"{listen}\"")),
        "{profile}"
    );
    assert_eq!(profile.matches("sha256/").count(), 2);
    let file = fs::read_to_string(place.join("kms.toml")).unwrap();
    assert!(file.contains(&format!("listen = \"127.0.0.1:{port}\"")));
}

#[test]
fn a_first_start_that_was_cut_off_is_completed() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path().join("dev");
    start(&place).unwrap();
    let whole = fs::read(place.join("seal.passphrase")).unwrap();
    let keyring = fs::read(place.join("data/keyring")).unwrap();
    // Cut off before the last step.
    fs::remove_file(place.join("kms.toml")).unwrap();
    start(&place).unwrap();
    assert_eq!(fs::read(place.join("data/keyring")).unwrap(), keyring);
    // Cut off while the data was being made.
    fs::remove_file(place.join("kms.toml")).unwrap();
    fs::rename(place.join("data"), place.join("data.making")).unwrap();
    fs::rename(place.join("pki"), place.join("pki.making")).unwrap();
    start(&place).unwrap();
    assert_ne!(fs::read(place.join("data/keyring")).unwrap(), keyring);
    assert_eq!(fs::read(place.join("seal.passphrase")).unwrap(), whole);
    assert!(!place.join("data.making").exists());
    assert!(!place.join("pki.making").exists());
}

#[test]
fn data_without_its_passphrase_is_refused_by_name() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path().join("dev");
    start(&place).unwrap();
    fs::remove_file(place.join("kms.toml")).unwrap();
    fs::remove_file(place.join("seal.passphrase")).unwrap();
    let failure = start(&place).unwrap_err();
    assert_eq!(failure.kind, FailureKind::WrongPassphrase);
    assert!(
        failure.message.contains("seal.passphrase is missing"),
        "{failure}"
    );
}

#[test]
fn other_machines_open_directories_and_second_daemons_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path().join("dev");
    for listen in ["0.0.0.0:7400", "192.0.2.1:7400", "[::]:7400"] {
        let failure = start_on(&place, Some(listen)).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Configuration);
        assert!(failure.message.contains("loopback"), "{failure}");
    }
    assert!(!place.exists());
    let first = start(&place).unwrap();
    let failure = start(&place).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Locked, "{failure}");
    let taken = first.config.server.listen.to_string();
    let other = place.with_file_name("other");
    let failure = start_on(&other, Some(&taken)).unwrap_err();
    assert_eq!(failure.kind, FailureKind::PortInUse, "{failure}");
    drop(first);
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
    let failure = start(&place).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Permissions, "{failure}");
}

#[test]
fn a_configuration_that_listens_wider_is_refused_too() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path().join("dev");
    start(&place).unwrap();
    let file = place.join("kms.toml");
    let text = fs::read_to_string(&file).unwrap();
    let wider = text.replace("listen = \"127.0.0.1:", "listen = \"0.0.0.0:");
    fs::write(&file, wider).unwrap();
    let failure = start_on(&place, None).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Configuration, "{failure}");
}

/// The specification's form, taken apart again.
#[test]
fn the_verifier_key_is_a_signed_note_key() {
    use kms_core::cipher::sha256;
    use kms_core::cipher::signature::PublicKey;
    let text = verifier_key("kms-dev", &PublicKey([7; 32]));
    let (name, rest) = text.trim_end().split_once('+').unwrap();
    let (id, key) = rest.split_once('+').unwrap();
    let key = data_encoding::BASE64.decode(key.as_bytes()).unwrap();
    assert_eq!(name, "kms-dev");
    assert_eq!(key, [&[1], [7_u8; 32].as_slice()].concat());
    let hash = sha256(&[b"kms-dev\n", &key]);
    assert_eq!(id, kms_core::codec::hex(&hash[..4]));
}

#[test]
fn the_roster_is_declared_as_the_file_says() {
    let place = tempfile::tempdir().unwrap();
    let prepared = start(&place.path().join("dev")).unwrap();
    assert_eq!(prepared.config.approvals, people::rules());
    assert!(prepared.announcement.contains("small team"));
}
