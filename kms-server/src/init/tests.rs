use super::*;
use crate::config::ClientCertificate;
use crate::system::clock::ManualClock;
use kms_core::cipher::system_entropy::SystemEntropy;
use kms_core::time::Timestamp;
use std::os::unix::fs::PermissionsExt;

fn clock() -> Arc<dyn Clock> {
    // 2026-11-24
    Arc::new(ManualClock::new(Timestamp::from_micros(
        1_795_478_400_000_000,
    )))
}

fn options(directory: PathBuf) -> Options {
    Options {
        directory,
        listen: "127.0.0.1:7400".parse().unwrap(),
        names: vec!["kms.crm.example".to_owned(), "10.0.0.5".to_owned()],
        trust_domain: None,
        operator: "alice".to_owned(),
        passphrase_file: None,
    }
}

fn make(options: &Options) -> Result<Made, Failure> {
    super::make(options, &clock(), &SystemEntropy::new())
}

#[test]
fn everything_is_made_private_and_the_configuration_is_one() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path().join("kms");
    let made = make(&options(place.clone())).unwrap();
    let config = Config::load(&place.join("kms.toml")).unwrap();
    assert_eq!(
        config.server.client_certificate,
        ClientCertificate::Optional
    );
    assert!(!config.dev_mode);
    let services = config.services.unwrap();
    assert_eq!(services.trust_domain.as_str(), "kms.crm.example");
    let mut left = vec![place.clone()];
    while let Some(path) = left.pop() {
        let mode = path.metadata().unwrap().permissions().mode() & 0o077;
        // the store's engine makes what is its own as the umask says, in a folder that nobody else may enter
        let engines = path
            .ancestors()
            .skip(1)
            .any(|it| it == place.join("data/store"));
        assert!(mode == 0 || engines, "{}", path.display());
        if path.is_dir() {
            left.extend(fs::read_dir(path).unwrap().map(|it| it.unwrap().path()));
        } else {
            // the one secret of the seal stands in no file
            let passphrase = made.announcement.lines().nth(4).unwrap().trim();
            assert_eq!(passphrase.len(), 41);
            let bytes = fs::read(&path).unwrap();
            assert!(!bytes.windows(41).any(|it| it == passphrase.as_bytes()));
        }
    }
}

#[test]
fn what_is_there_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("kms");
    fs::create_dir(&place).unwrap();
    let refused = make(&options(place.clone())).err().unwrap();
    assert_eq!(refused.kind, FailureKind::Configuration);
    assert_eq!(fs::read_dir(&place).unwrap().count(), 0);
    let file = folder.path().join("passphrase");
    fs::write(&file, "mine").unwrap();
    let mut other = options(folder.path().join("other"));
    other.passphrase_file = Some(file.clone());
    assert!(make(&other).is_err());
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn the_passphrase_goes_to_a_file_instead_of_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let mut given = options(folder.path().join("kms"));
    let file = folder.path().join("passphrase");
    given.passphrase_file = Some(file.clone());
    let made = make(&given).unwrap();
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text.trim_end().len(), 41);
    assert!(!made.announcement.contains(text.trim_end()));
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_cannot_be_a_name_is_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let good = || options(folder.path().join("kms"));
    let no_name = Options {
        names: Vec::new(),
        ..good()
    };
    let operator = Options {
        operator: "Alice".to_owned(),
        ..good()
    };
    let domain = Options {
        trust_domain: Some("CRM".to_owned()),
        ..good()
    };
    let name = Options {
        names: vec!["k m s".to_owned()],
        trust_domain: Some("crm".to_owned()),
        ..good()
    };
    for bad in [no_name, operator, domain, name] {
        assert!(make(&bad).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
    // found late, and everything is gone again
    let nowhere = Options {
        passphrase_file: Some(folder.path().join("missing/passphrase")),
        ..good()
    };
    assert!(make(&nowhere).is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
