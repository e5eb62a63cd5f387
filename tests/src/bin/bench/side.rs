//! The servers that are compared, each a process of its own under the daemon's own certificates.

use crate::cores::{Halves, bind};
use crate::empty::Shape;
use crate::flood::{self, Flood};
use bytes::Bytes;
use kms_proto::v1::GenerateDataKeyRequest;
use kms_tests::certificate::Authority;
use kms_tests::credentials::Credentials;
use kms_tests::daemon::{Daemon, Installation, Role};
use prost::Message;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One server and what it is asked.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) name: &'static str,
    pub(crate) daemon: Daemon,
    pub(crate) credentials: Credentials,
    pub(crate) path: &'static str,
    pub(crate) body: Bytes,
    /// The daemon's folder lives as long as its process.
    installation: Option<Installation>,
}

impl Side {
    /// What goes on beside its measurement.
    pub(crate) fn beside(&self) -> Option<Flood> {
        let installation = self.installation.as_ref()?;
        (self.name == FLOODED).then(|| Flood::begin(self.daemon.address, installation))
    }

    /// Stops the server. The daemon's last words are the figures of its log: entries, groups, syncs.
    pub(crate) fn stop(self) -> Option<[u64; 3]> {
        let ended = self.daemon.terminate();
        let installation = self.installation.filter(|_| ended.success())?;
        let log = std::fs::read_to_string(installation.log()).ok()?;
        let line = log
            .lines()
            .rev()
            .find(|line| line.contains("audit log closed"))?;
        let figure = |name: &str| {
            let rest = line.split(&format!("{name}=")).nth(1)?;
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        };
        Some([figure("entries")?, figure("groups")?, figure("syncs")?])
    }
}

/// Names of the sides; ratios are to the first and to the second.
pub(crate) const EMPTY: &str = "empty, plain tonic";
pub(crate) const EMPTY_PER_CORE: &str = "empty, runtime per core";
pub(crate) const KMS: &str = "kms GenerateDataKey";
/// The daemon without a part, each with the arguments that leave it out: what the part costs.
pub(crate) const WITHOUT: [(&str, &[&str]); 1] =
    [("kms, no audit tree", &["--without-audit-tree"])];

/// The daemon under policies of its own, each with what stands beside the shipped ones: what deciding costs.
pub(crate) const UNDER_POLICIES: [(&str, Option<&str>); 2] = [
    ("kms, Cedar", None),
    (
        "kms, Cedar at each call",
        Some(
            r#"forbid (principal, action == Action::"GenerateDataKey", resource) unless {
                context has source && context.source.isLoopback() };"#,
        ),
    ),
];

/// The daemon while desks guess passwords without a pause: what a login flood costs the data plane.
pub(crate) const FLOODED: &str = "kms, login flood";

/// Starts all servers on the servers' cores.
pub(crate) fn start_all(pins: Option<&Halves>) -> Vec<Side> {
    // Building must not be confined to half of the cores.
    drop(kms_tests::binaries::server());
    if let Some(pins) = pins {
        bind(&pins.server);
    }
    let whole = start_kms(KMS, &[]);
    let installation = whole.installation.as_ref().expect("a daemon's folder");
    let mut sides = start_empty(
        &tls_files(&installation.dir()),
        &whole.credentials,
        &installation.log(),
    );
    sides.push(whole);
    sides.extend(WITHOUT.map(|(name, arguments)| start_kms(name, arguments)));
    sides.extend(UNDER_POLICIES.map(|(name, more)| start_under_policies(name, more)));
    sides.push(start_flooded());
    sides
}

/// A daemon at which the desks of a flood may log in.
fn start_flooded() -> Side {
    let installation = Installation::new();
    assert!(installation.start().terminate().success());
    flood::admit_desks(&installation);
    start_at(FLOODED, installation, &[])
}

fn start_kms(name: &'static str, arguments: &[&str]) -> Side {
    start_at(name, Installation::new(), arguments)
}

fn start_at(name: &'static str, installation: Installation, arguments: &[&str]) -> Side {
    let daemon = installation.try_start(arguments).expect("a daemon");
    let request = GenerateDataKeyRequest {
        dataset: "datasets/files".into(),
        key_context: BTreeMap::from([
            ("tenant".into(), "acme".into()),
            ("purpose".into(), "bench".into()),
        ]),
        ..GenerateDataKeyRequest::default()
    };
    Side {
        name,
        daemon,
        credentials: installation.credentials(Role::Service),
        path: "/kms.v1.KeyService/GenerateDataKey",
        body: request.encode_to_vec().into(),
        installation: Some(installation),
    }
}

/// A daemon under the shipped policies and `more`.
fn start_under_policies(name: &'static str, more: Option<&str>) -> Side {
    let side = start_kms(name, &[]);
    let installation = side.installation.as_ref().expect("a daemon's folder");
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../policies/roles");
    let mut arguments = vec!["policy", "apply", shipped];
    if let Some(more) = more {
        let path = installation.scratch().join("more.cedar");
        std::fs::write(path, more).expect("a file");
        arguments.push("more.cedar");
    }
    installation.kms(Role::Operator).insist(&arguments).ok();
    side
}

/// Starts the empty servers alone, under certificates of the bench's own making.
pub(crate) fn start_empty_alone(pins: Option<&Halves>) -> Vec<Side> {
    if let Some(pins) = pins {
        bind(&pins.server);
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let authority = Authority::new("bench");
    let server = authority.server(&["localhost"]);
    let client = authority.client("spiffe://bench/service/client");
    let files = ["server.pem", "server.key", "ca.pem"].map(|name| folder.path().join(name));
    let texts = [&server.certificate, &server.key, &authority.certificate];
    for (path, text) in files.iter().zip(texts) {
        std::fs::write(path, text).expect("a file");
    }
    let credentials = Credentials::issued(&authority, &client, "localhost");
    start_empty(&files, &credentials, &folder.path().join("log"))
}

fn start_empty(files: &[PathBuf; 3], credentials: &Credentials, log: &Path) -> Vec<Side> {
    let start = |(name, shape): (&'static str, Shape)| {
        let mut command = Command::new(std::env::current_exe().expect("this program's path"));
        command.args(["empty", "--shape", shape.name()]);
        for (option, file) in ["--certificate", "--key", "--client-ca"].iter().zip(files) {
            command.arg(option).arg(file);
        }
        Side {
            name,
            daemon: Daemon::spawn(command, log).expect("the empty server starts"),
            credentials: credentials.clone(),
            path: "/empty.Empty/Call",
            body: Bytes::new(),
            installation: None,
        }
    };
    [(EMPTY, Shape::Plain), (EMPTY_PER_CORE, Shape::PerCore)]
        .map(start)
        .into()
}

/// The daemon's own certificate, key and client authority.
fn tls_files(dir: &Path) -> [PathBuf; 3] {
    let text = std::fs::read_to_string(dir.join("kms.toml")).expect("the daemon's configuration");
    let config: toml::Table = text.parse().expect("configuration in TOML");
    let tls = config.get("tls").and_then(toml::Value::as_table);
    let tls = tls.expect("a section tls");
    ["certificate", "key", "client_ca"].map(|key| {
        let path = tls.get(key).and_then(toml::Value::as_str);
        dir.join(path.expect("a path"))
    })
}
