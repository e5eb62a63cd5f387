//! The configuration file, read once and checked whole: what comes out of [`Config::load`] can be used
//! as it is. Never holds a secret: those are named by file and read where they are used.
//!
//! Unknown keys are refused, and an error names the key and the limit it broke (docs/operations.md).

mod bounds;
mod file;
pub mod forward;
pub mod issuer;
pub mod services;
pub mod trust;

use issuer::Issuer;
use kms_core::cipher::signature::Fingerprint;
use kms_core::policy::ApprovalRules;
use kms_core::policy::role::RoleTable;
use services::Services;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The whole configuration, every path absolute or relative to the working directory.
#[derive(Debug, Clone)]
pub struct Config {
    /// The listener and its limits.
    pub server: Server,
    /// Certificates.
    pub tls: Tls,
    /// Where the data directory lies.
    pub data: Data,
    /// The audit log.
    pub audit: Audit,
    /// How the master key is protected.
    pub seal: Seal,
    /// Whether the wall clock can be trusted.
    pub clock: Clock,
    /// Bounded caches.
    pub cache: Cache,
    /// Who may do what.
    pub principals: RoleTable,
    /// Whose access tokens are taken.
    pub issuers: Vec<Issuer>,
    /// What of this has to be approved.
    pub trust: trust::TrustSettings,
    /// Directory of access policies; `None`: the table of roles decides.
    pub policies: Option<PathBuf>,
    /// How far a new key must have travelled before it is used.
    pub key_durability: KeyDurability,
    /// A development instance; clients are told.
    pub dev_mode: bool,
    /// The built-in certificate authority; `None` where it is off.
    pub services: Option<Services>,
    /// The people who administer the service.
    pub operators: Operators,
    /// What needs the word of others.
    pub approvals: ApprovalRules,
    /// How people are told what they should hear of.
    pub notices: Notices,
    /// The daemon's own messages.
    pub log: Log,
}

/// `[notices]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notices {
    /// An absolute program and its arguments.
    pub command: Option<Vec<String>>,
    /// A web server.
    pub webhook: Option<WebhookSettings>,
}

/// A web server that notices are posted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSettings {
    /// `https://HOST[:PORT]/PATH`.
    pub url: String,
    /// PEM of whom is trusted to certify it.
    pub ca: PathBuf,
    /// A secret file with the bearer token.
    pub bearer_file: PathBuf,
}

/// `[operators]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operators {
    /// Steps of 30 s before the present one whose codes are taken, each once. More than one only in development,
    /// so that a script need not wait between two codes.
    pub totp_steps_back: u32,
}

/// `[server]`.
#[derive(Debug, Clone)]
pub struct Server {
    /// Address and port.
    pub listen: SocketAddr,
    /// Whether a client must show a certificate.
    pub client_certificate: ClientCertificate,
    /// Whether gRPC reflection answers.
    pub reflection: bool,
    /// Origins from which browsers may call by gRPC-Web, as `https://host[:port]`; others are refused.
    pub web_origins: Vec<String>,
    /// `[server.limits]`.
    pub limits: Limits,
}

/// Whether a client must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificate {
    /// The handshake fails without one.
    Required,
    /// Callers without one are nobody.
    Optional,
}

/// `[server.limits]`: everything that strangers or callers could use up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at one time.
    pub connections: usize,
    /// Of those, from one address that has not authenticated.
    pub connections_per_address: usize,
    /// HTTP/2 streams of one connection.
    pub streams_per_connection: u32,
    /// Bytes of a call's headers.
    pub header_bytes: u32,
    /// Bytes of a message.
    pub message_bytes: usize,
    /// Calls at one time.
    pub in_flight: usize,
    /// Deadline of calls that name none.
    pub deadline_default: Duration,
    /// Longest deadline a call may name.
    pub deadline_max: Duration,
    /// A connection without a call is closed after this long.
    pub idle: Duration,
    /// Between two HTTP/2 pings of a quiet connection.
    pub keep_alive: Duration,
    /// A TLS handshake is given up after this long.
    pub handshake_timeout: Duration,
    /// Threads that serve calls; never 0 here: the file's 0 is the number of cores.
    pub runtimes: usize,
}

/// `[tls]`: PEM files, read again when they change and on SIGHUP.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The server's certificate and its chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Authorities whose client certificates are taken.
    pub client_ca: PathBuf,
    /// Revocation lists of those authorities.
    pub crl: Option<PathBuf>,
}

/// `[data]`.
#[derive(Debug, Clone)]
pub struct Data {
    /// The data directory: store, keyring, audit log, lock.
    pub directory: PathBuf,
}

impl Data {
    /// The store engine's directory.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.directory.join("store")
    }

    /// The audit log's directory.
    #[must_use]
    pub fn audit(&self) -> PathBuf {
        self.directory.join("audit")
    }

    /// The file of the months' public keys.
    #[must_use]
    pub fn intake(&self) -> PathBuf {
        self.directory.join("intake")
    }

    /// The keyring file.
    #[must_use]
    pub fn keyring(&self) -> PathBuf {
        self.directory.join("keyring")
    }
}

/// `[audit]`.
#[derive(Debug, Clone)]
pub struct Audit {
    /// Name of the log: the first half of its origins.
    pub name: String,
    /// Bytes of a segment file.
    pub segment_bytes: u64,
    /// The data plane stops when less than this is free on the log's disk.
    pub reserve_bytes: u64,
    /// Where copies of it go.
    pub forwards: Vec<forward::Forward>,
    /// Whether the log proves itself. No file can say no: only `dev`, for the bench.
    pub tree: bool,
    /// `[[audit.witnesses]]`: who remembers checkpoints outside.
    pub witnesses: Vec<WitnessSettings>,
    /// So many of them must vouch for the log at unseal.
    pub min_anchors: usize,
    /// A month's personal values stay open for so many whole months after it.
    pub anonymise_after_months: u16,
    /// Why no month's audit key is destroyed, while an incident is open or a court asks.
    pub anonymisation_hold: Option<String>,
}

/// A witness of the log.
#[derive(Debug, Clone)]
pub struct WitnessSettings {
    /// Where it listens: `http://` or, with a CA, `https://`.
    pub url: String,
    /// Its public key.
    pub key: tlog::VerifierKey,
    /// Who certified its server, for `https://`.
    pub ca: Option<PathBuf>,
}

/// `[seal]`.
#[derive(Debug, Clone)]
pub struct Seal {
    /// Unseals at start, when given.
    pub passphrase_file: Option<PathBuf>,
    /// The instance key that the keyring must carry, when given.
    pub instance_fingerprint: Option<Fingerprint>,
}

/// `[clock]`.
#[derive(Debug, Clone)]
pub struct Clock {
    /// How to ask whether the wall clock is synchronised; without one nothing is known against it.
    pub synchronised: Option<SynchronisedProbe>,
}

/// How to ask whether the wall clock is synchronised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SynchronisedProbe {
    /// The file exists (as `/run/systemd/timesync/synchronized`).
    File(PathBuf),
    /// The program and its arguments end with 0 within 5 s.
    Command(Vec<String>),
}

/// `[cache]`.
#[derive(Debug, Clone)]
pub struct Cache {
    /// Memory for shred secrets.
    pub shred_secret_bytes: usize,
}

/// How far a new key must have travelled before it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyDurability {
    /// No further than this machine's disk: its loss loses keys.
    Local,
}

/// `[log]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// The most detailed level shown.
    pub level: Level,
    /// How a message is written.
    pub format: Format,
}

/// Detail of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is its word")]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// How a message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The configuration cannot be used. One line: file, key, limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// The key, as `server.limits.connections`; empty when the file itself is the problem.
    pub key: String,
    /// What it must be, or what went wrong.
    pub problem: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file.display())?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.problem)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads and checks the file. Relative paths in it start from its directory.
    ///
    /// # Errors
    /// [`ConfigError`]; nothing is half taken.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let problem = |problem: String| ConfigError {
            file: path.to_owned(),
            key: String::new(),
            problem,
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| problem(format!("cannot be read: {error}")))?;
        let directory = path.parent().unwrap_or(Path::new("."));
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        file::parse(&text, directory, credentials.as_deref()).map_err(|found| ConfigError {
            file: path.to_owned(),
            key: found.key,
            problem: found.problem,
        })
    }
}
