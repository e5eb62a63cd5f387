//! A profile says where the service is and who we are: a TOML file, as `kms-server dev` writes it.
//!
//! Never holds key bytes, only the paths of their files; an unknown setting is refused, not ignored.

use crate::error::{Error, ErrorKind};
use crate::operator::OperatorProfile;
use crate::pin::Pin;
use std::path::{Path, PathBuf};

/// Connections when the profile does not say.
const CONNECTIONS_DEFAULT: usize = 2;
/// Most connections of one client.
const CONNECTIONS_MAX: usize = 64;

/// Where the service is, what proves that it is the right one, and what proves who we are: a certificate, an access
/// token, or both.
///
/// ```toml
/// address = "127.0.0.1:7400"
/// server_name = "localhost"        # default: the host of the address
/// ca = "pki/ca.pem"                # optional
/// pins = ["sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]
/// certificate = "pki/service.pem"  # with `key`; read again when they change
/// key = "pki/service.key"
/// renew = false                    # optional: the service's own authority made the certificate; renew it in time
/// token_file = "/run/token"        # optional: an OAuth 2.0 access token, read again when the file changes
/// connections = 2                  # optional, 1 to 64
/// dev_mode = false                 # optional: the service keeps its unsealing secret beside its data
/// [operator]                       # optional: a person, who logs in
/// user = "alice"
/// password_file = "alice.password" # in development only, as totp_file: programs answer by themselves
/// ```
///
/// Relative paths start at the profile's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// `host:port`.
    pub address: String,
    /// DNS name or IP address that the server's certificate must carry.
    pub server_name: String,
    /// PEM file of the authorities that may have issued the server's certificate. Without one the
    /// pins alone decide.
    pub ca: Option<PathBuf>,
    /// SHA-256 of the server's SubjectPublicKeyInfo; one of them must match, at least one stands here.
    pub pins: Vec<Pin>,
    /// PEM file of our certificate and its chain; together with `key`, or neither.
    pub certificate: Option<PathBuf>,
    /// PEM file of our private key; may be the same file.
    pub key: Option<PathBuf>,
    /// The client library renews the certificate at two thirds of its life, in one file with its key.
    pub renew: bool,
    /// File with an access token, which each call carries.
    pub token_file: Option<PathBuf>,
    /// Connections to keep, 1 to 64. Each is served by one of the service's threads.
    pub connections: usize,
    /// The service is a development one: programs say so loudly.
    pub dev_mode: bool,
    /// Who logs in, where the certificate is one of operators.
    pub operator: Option<OperatorProfile>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileFile {
    address: String,
    server_name: Option<String>,
    ca: Option<PathBuf>,
    pins: Vec<String>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    #[serde(default)]
    renew: bool,
    token_file: Option<PathBuf>,
    connections: Option<usize>,
    #[serde(default)]
    dev_mode: bool,
    operator: Option<OperatorFile>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct OperatorFile {
    user: String,
    password_file: Option<PathBuf>,
    totp_file: Option<PathBuf>,
}

impl Profile {
    /// Reads a profile from a file.
    ///
    /// # Errors
    /// [`ErrorKind::Profile`] when it cannot be read or a setting is missing, unknown or malformed;
    /// the message names file and setting.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|error| refused(path, error))?;
        let directory = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, directory).map_err(|reason| refused(path, reason))
    }

    fn parse(text: &str, directory: &Path) -> Result<Self, String> {
        let file: ProfileFile = toml::from_str(text).map_err(|error| error.to_string())?;
        let (host, port) = file
            .address
            .rsplit_once(':')
            .ok_or("`address` must be host:port")?;
        port.parse::<u16>()
            .map_err(|_| "`address` must end in a port from 0 to 65535")?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err("`address` must name a host".into());
        }
        let pins = file.pins.iter().map(|pin| pin.parse());
        let pins: Vec<Pin> = pins
            .collect::<Result<_, _>>()
            .map_err(|error| format!("`pins`: {error}"))?;
        if pins.is_empty() {
            return Err("`pins` must hold at least one pin".into());
        }
        let connections = file.connections.unwrap_or(CONNECTIONS_DEFAULT);
        if !(1..=CONNECTIONS_MAX).contains(&connections) {
            return Err(format!("`connections` must be 1 to {CONNECTIONS_MAX}"));
        }
        let operator = file.operator.map(|operator| OperatorProfile {
            user: operator.user,
            password_file: operator.password_file.map(|path| directory.join(path)),
            totp_file: operator.totp_file.map(|path| directory.join(path)),
        });
        let answers = |operator: &OperatorProfile| {
            operator.password_file.is_some() || operator.totp_file.is_some()
        };
        if operator.as_ref().is_some_and(answers) && !file.dev_mode {
            return Err("`operator.password_file` and `totp_file` are for `dev_mode` only".into());
        }
        match (&file.certificate, &file.key, &file.token_file) {
            (Some(_), Some(_), _) | (None, None, Some(_)) => {}
            (None, None, None) => {
                return Err("`certificate` and `key`, or `token_file`, must be there".into());
            }
            _ => return Err("`certificate` and `key` must stand together".into()),
        }
        if file.renew && (file.certificate.is_none() || file.certificate != file.key) {
            return Err("`renew` needs `certificate` and `key` in one and the same file".into());
        }
        Ok(Self {
            server_name: file.server_name.unwrap_or_else(|| host.to_owned()),
            ca: file.ca.map(|path| directory.join(path)),
            pins,
            certificate: file.certificate.map(|path| directory.join(path)),
            key: file.key.map(|path| directory.join(path)),
            renew: file.renew,
            token_file: file.token_file.map(|path| directory.join(path)),
            connections,
            dev_mode: file.dev_mode,
            operator,
            address: file.address,
        })
    }
}

fn refused(path: &Path, reason: impl std::fmt::Display) -> Error {
    let message = format!("profile {}: {reason}", path.display());
    Error::new(ErrorKind::Profile, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        address = "127.0.0.1:7400"
        ca = "pki/ca.pem"
        pins = ["sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]
        certificate = "pki/service.pem"
        key = "/abs/service.key"
    "#;

    #[test]
    fn paths_start_at_the_profile_and_the_name_at_the_address() {
        let profile = Profile::parse(GOOD, Path::new("/etc/crm")).unwrap();
        let path = |path: &str| Some(PathBuf::from(path));
        assert_eq!(profile.certificate, path("/etc/crm/pki/service.pem"));
        assert_eq!(profile.key, path("/abs/service.key"));
        assert_eq!(profile.server_name, "127.0.0.1");
        assert_eq!(profile.connections, CONNECTIONS_DEFAULT);
        let six = GOOD.replace("127.0.0.1:", "[::1]:");
        let profile = Profile::parse(&six, Path::new("")).unwrap();
        assert_eq!(profile.server_name, "::1");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (from, to, named) in [
            ("ca =", "cas =", "cas"),
            ("127.0.0.1:7400", "127.0.0.1", "address"),
            ("127.0.0.1:7400", "127.0.0.1:70000", "address"),
            ("127.0.0.1:7400", ":1", "address"),
            ("\"sha256/AAAA", "\"sha1/AAAA", "pins"),
            (
                "\"sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"",
                "",
                "pins",
            ),
            ("certificate", "connections = 0\ncertificate", "connections"),
            ("certificate", "renew = true\ncertificate", "renew"),
            ("certificate = \"pki/service.pem\"", "", "together"),
        ] {
            let text = GOOD.replace(from, to);
            assert_ne!(text, GOOD);
            let error = Profile::parse(&text, Path::new("")).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
        let token = GOOD
            .replace(
                "certificate = \"pki/service.pem\"",
                "token_file = \"token\"",
            )
            .replace("key = \"/abs/service.key\"", "");
        let profile = Profile::parse(&token, Path::new("/run")).unwrap();
        assert_eq!(profile.token_file.as_deref(), Some(Path::new("/run/token")));
        let nothing = token.replace("token_file = \"token\"", "");
        let error = Profile::parse(&nothing, Path::new("")).unwrap_err();
        assert!(error.contains("token_file"), "{error}");
        let error = Profile::load("/nonexistent/service.toml").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Profile);
        assert!(error.to_string().contains("/nonexistent/service.toml"));
    }
}
