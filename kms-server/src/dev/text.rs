//! The texts that a development installation consists of, and what is told at its start.

use crate::config::Config;
use crate::seal::Keyring;
use kms_core::cipher::signature::Fingerprint;
use std::net::SocketAddr;
use std::path::Path;

/// `kms.toml`.
pub(super) fn configuration(listen: SocketAddr, instance: Fingerprint) -> String {
    include_str!("kms.toml")
        .replace("{listen}", &listen.to_string())
        .replace("{instance}", &instance.to_string())
}

/// A client's profile.
pub(super) fn profile(
    who: &str,
    operator: Option<&str>,
    listen: SocketAddr,
    pins: &[String; 2],
) -> String {
    let [pin, backup] = pins;
    let operator = operator.map_or_else(String::new, |name| {
        format!(
            "\n\
             [operator]\n\
             user = \"{name}\"\n\
             # DEVELOPMENT ONLY: programs log in and answer for codes by themselves.\n\
             password_file = \"{who}.password\"\n\
             totp_file = \"{who}.totp\"\n"
        )
    });
    format!(
        "# Written by `kms-server dev` at each start: how to reach it as {who}.\n\
         address = \"{listen}\"\n\
         server_name = \"localhost\"\n\
         ca = \"pki/ca.pem\"\n\
         # The server's key, and the one kept for the day that it must be replaced.\n\
         pins = [\"{pin}\", \"{backup}\"]\n\
         certificate = \"pki/{who}.pem\"\n\
         key = \"pki/{who}.key\"\n\
         dev_mode = true\n\
         {operator}"
    )
}

/// What whoever started it must know, and can do next.
pub(super) fn announcement(
    place: &Path,
    config: &Config,
    keyring: &Keyring,
    first: bool,
) -> String {
    let place = place.display();
    let listen = config.server.listen;
    let made = if first { "made" } else { "resumed" };
    let instance = keyring.publics().instance.fingerprint();
    let unsealing = match &config.seal.passphrase_file {
        Some(file) => format!(
            "DEVELOPMENT ONLY: it unseals itself from {}; whoever reads that file reads everything.",
            file.display()
        ),
        None => format!(
            "It is sealed: kms --profile {place}/operator.toml unseal (kms.toml names no passphrase_file)"
        ),
    };
    let team = match config.approvals.delay {
        Some(delay) => format!(
            "DEVELOPMENT ONLY: a missing approval is replaced by {} s (alice and bob are a small team).",
            delay.as_secs()
        ),
        None => "What is marked needs the approval of others (kms approval roster).".to_owned(),
    };
    format!(
        "kms-server dev: {made} {place}\n\
         {unsealing}\n\
         {team}\n\
         Instance key {instance}\n\
         \n\
         In another terminal, from the source tree:\n\
         \n\
         alias kms='cargo run --release --quiet --package kms-cli --'\n\
         export KMS_PROFILE={place}/service.toml\n\
         kms status\n\
         echo 'Ada Lovelace, +44 20 7946 0958' | kms encrypt customers -o ada.kms --account acme --subject ada --context tenant=acme\n\
         kms decrypt ada.kms --context tenant=acme\n\
         kms --profile {place}/operator.toml key rotate customers\n\
         kms --profile {place}/operator.toml key versions customers\n\
         kms --profile {place}/auditor.toml audit list\n\
         \n\
         The same service without dev: kms-server run --config {place}/kms.toml (listens on {listen})\n"
    )
}
