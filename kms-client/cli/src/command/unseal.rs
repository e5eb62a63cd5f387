//! `kms unseal`: opens one seal. The passphrase comes from a file, stdin or the terminal, never from the
//! command line or the environment.

use super::call;
use crate::approver::ssh_signature;
use crate::exit::Failure;
use crate::session::Session;
use clap::Args;
use kms_client::proto::v1;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// More than the service takes.
const PASSPHRASE_MAX: u64 = 1_024;

/// Unseal the service with a passphrase.
#[derive(Debug, Args)]
pub(crate) struct Unseal {
    /// File that holds the passphrase and nothing else; `-` is stdin. Without it you are asked.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// What approvers signed against the anchors of the audit log (`kms audit override`).
    #[arg(long = "override", value_name = "FILE", requires = "signature")]
    overriding: Option<PathBuf>,
    /// A signature over it (`kms approval sign`, `ssh-keygen -Y sign`); once for each.
    #[arg(long, value_name = "FILE", requires = "overriding")]
    signature: Vec<PathBuf>,
}

impl Unseal {
    /// Runs it.
    ///
    /// # Errors
    /// The service's; a passphrase that cannot be read.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let passphrase = match &self.passphrase_file {
            Some(path) if path == Path::new("-") => {
                read(io::stdin().lock()).map_err(|error| Failure::file(path, error))?
            }
            Some(path) => File::open(path)
                .and_then(read)
                .map_err(|error| Failure::file(path, error))?,
            None if session.can_ask() => rpassword::prompt_password("Passphrase: ")?.into_bytes(),
            None => {
                return Err(Failure::usage("nobody to ask for the passphrase")
                    .next("give --passphrase-file FILE"));
            }
        };
        let overriding = self.overriding.as_ref();
        let statement = overriding
            .map(|path| std::fs::read_to_string(path).map_err(|error| Failure::file(path, error)));
        let signatures = self.signature.iter().map(|path| {
            let text = std::fs::read_to_string(path).map_err(|error| Failure::file(path, error))?;
            let signature = ssh_signature::without_armour(&text);
            let signature = signature.ok_or_else(|| Failure::file(path, "is no SSH signature"))?;
            Ok(signature.into())
        });
        let request = v1::UnsealRequest {
            passphrase: passphrase.into(),
            override_statement: statement.transpose()?.unwrap_or_default(),
            signatures: signatures.collect::<Result<_, Failure>>()?,
            validate_only: false,
        };
        let answer =
            call!(session, once system_service_client::SystemServiceClient.unseal, request)?;
        match answer.seal_state() {
            v1::SealState::Unsealed => session.note("unsealed"),
            state => session.warn(&format!("not unsealed yet: {}", state.as_str_name())),
        }
        Ok(())
    }
}

/// All there is but one line end.
fn read(source: impl Read) -> io::Result<Vec<u8>> {
    let mut passphrase = Vec::new();
    source
        .take(PASSPHRASE_MAX + 3)
        .read_to_end(&mut passphrase)?;
    if passphrase.ends_with(b"\n") {
        passphrase.pop();
        if passphrase.ends_with(b"\r") {
            passphrase.pop();
        }
    }
    if passphrase.len() as u64 > PASSPHRASE_MAX {
        return Err(io::Error::other("a passphrase has at most 1,024 bytes"));
    }
    Ok(passphrase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_is_not_part_of_the_passphrase() {
        for (file, passphrase) in [
            ("a b\n", "a b"),
            ("a b\r\n", "a b"),
            ("a b\n\n", "a b\n"),
            (" a ", " a "),
        ] {
            assert_eq!(read(file.as_bytes()).unwrap(), passphrase.as_bytes());
        }
        assert_eq!(read([b'a'; 1_024].as_slice()).unwrap().len(), 1_024);
        assert!(read([b'a'; 1_025].as_slice()).is_err());
        assert!(read([b'a'; 100_000].as_slice()).is_err());
    }
}
