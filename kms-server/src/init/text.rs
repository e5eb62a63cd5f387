//! The texts of a new installation, and what is told once.

use kms_core::cipher::signature::Fingerprint;
use kms_core::name::{OperatorName, TrustDomain};
use std::net::SocketAddr;
use std::path::Path;
use zeroize::Zeroizing;

/// `kms.toml`.
pub(super) fn configuration(
    listen: SocketAddr,
    domain: &TrustDomain,
    instance: Fingerprint,
) -> String {
    include_str!("kms.toml")
        .replace("{listen}", &listen.to_string())
        .replace("{domain}", domain.as_str())
        .replace("{instance}", &instance.to_string())
}

/// The first desk's profile.
pub(super) fn profile(
    names: &[String],
    listen: SocketAddr,
    pins: &[String; 2],
    operator: &OperatorName,
) -> String {
    let name = names.first().map_or("", String::as_str);
    let host = if name.contains(':') {
        format!("[{name}]")
    } else {
        name.to_owned()
    };
    let (port, user) = (listen.port(), operator.as_str());
    let [pin, backup] = pins;
    format!(
        "# Written by `kms-server init`: how the first operator reaches the service. Move it and operator.pem together\n\
         # to the operator's machine.\n\
         address = \"{host}:{port}\"\n\
         server_name = \"{name}\"\n\
         # The server's key, and the one kept for the day that it must be replaced.\n\
         pins = [\"{pin}\", \"{backup}\"]\n\
         # Key and certificate in one file, so that they are renewed together (`kms service renew`).\n\
         certificate = \"operator.pem\"\n\
         key = \"operator.pem\"\n\
         \n\
         [operator]\n\
         user = \"{user}\"\n"
    )
}

/// What whoever made it must know, and does next.
pub(super) fn announcement(
    place: &Path,
    operator: &OperatorName,
    token: &str,
    passphrase: Option<&[u8]>,
) -> Zeroizing<String> {
    let (place, user) = (place.display(), operator.as_str());
    let passphrase = passphrase.map_or_else(String::new, |text| {
        let text = String::from_utf8_lossy(text);
        format!(
            "Passphrase that unseals it, shown this once; without it everything is lost:\n\
             \n\
             \x20   {text}\n\
             \n"
        )
    });
    Zeroizing::new(format!(
        "kms-server init: made {place}\n\
         \n\
         {passphrase}\
         Next, on this machine and the first operator's (who needs {place}/operator.toml and operator.pem):\n\
         \n\
         kms-server run --config {place}/kms.toml\n\
         kms --profile {place}/operator.toml unseal\n\
         kms --profile {place}/operator.toml mfa enroll --user {user} --token {token}\n\
         kms --profile {place}/operator.toml login\n\
         \n\
         The token is taken once, within 24 hours.\n"
    ))
}
