//! Everything that a new service must know, in one text to be carried over: where the service is, its pins, and the
//! one-time token.

use crate::pin::Pin;
use data_encoding::BASE64URL_NOPAD;
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

const PREFIX: &str = "kms-enrol-1.";
const LEN_MAX: usize = 4 * 1024;

/// As `kms service add` prints it. As text `kms-enrol-1.` and base64url of the lines address, server name, pins
/// separated by blanks, token.
#[derive(Clone, PartialEq, Eq)]
pub struct Invitation {
    /// `host:port`.
    pub address: String,
    /// DNS name or IP address that the server's certificate must carry.
    pub server_name: String,
    /// Of the server's key; at least one.
    pub pins: Vec<Pin>,
    /// Good once.
    pub token: Zeroizing<String>,
}

/// The text is no invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an enrolment token as `kms service add` prints it")]
pub struct InvalidInvitation;

impl Invitation {
    /// A profile for the identity in `NAME.pem`.
    pub(super) fn profile(&self, name: &str) -> Zeroizing<String> {
        let pins: Vec<_> = self
            .pins
            .iter()
            .map(|pin| format!("{:?}", pin.to_string()))
            .collect();
        let (address, server, pins) = (&self.address, &self.server_name, pins.join(", "));
        Zeroizing::new(format!(
            "# Written by `kms service enroll`.\n\
             address = \"{address}\"\n\
             server_name = \"{server}\"\n\
             pins = [{pins}]\n\
             # Key and certificate in one file. The client library renews it at two thirds of its life; where no program\n\
             # runs that long, `kms service renew --if-due` does.\n\
             certificate = \"{name}.pem\"\n\
             key = \"{name}.pem\"\n\
             renew = true\n"
        ))
    }
}

impl fmt::Display for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pins: Vec<_> = self.pins.iter().map(Pin::to_string).collect();
        let (address, server, pins) = (&self.address, &self.server_name, pins.join(" "));
        let lines = Zeroizing::new(format!("{address}\n{server}\n{pins}\n{}", *self.token));
        write!(f, "{PREFIX}{}", BASE64URL_NOPAD.encode(lines.as_bytes()))
    }
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invitation")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl FromStr for Invitation {
    type Err = InvalidInvitation;

    fn from_str(text: &str) -> Result<Self, InvalidInvitation> {
        let encoded = text.trim().strip_prefix(PREFIX).ok_or(InvalidInvitation)?;
        if encoded.len() > LEN_MAX {
            return Err(InvalidInvitation);
        }
        let bytes = BASE64URL_NOPAD.decode(encoded.as_bytes());
        let bytes = Zeroizing::new(bytes.map_err(|_| InvalidInvitation)?);
        let lines = str::from_utf8(&bytes).map_err(|_| InvalidInvitation)?;
        // what stands in a profile must not end its line
        let plain = |text: &&str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
        };
        let mut lines = lines.split('\n');
        let mut next = || lines.next().ok_or(InvalidInvitation);
        let (address, server, pins, token) = (next()?, next()?, next()?, next()?);
        if lines.next().is_some() || ![address, server, token].iter().all(plain) {
            return Err(InvalidInvitation);
        }
        let pins = pins
            .split(' ')
            .map(Pin::from_str)
            .collect::<Result<Vec<_>, _>>();
        Ok(Self {
            address: address.to_owned(),
            server_name: server.to_owned(),
            pins: pins.map_err(|_| InvalidInvitation)?,
            token: Zeroizing::new(token.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;

    fn invitation() -> Invitation {
        let pin = "sha256/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        Invitation {
            address: "kms.crm.example:7400".into(),
            server_name: "kms.crm.example".into(),
            pins: vec![pin.parse().unwrap(); 2],
            token: Zeroizing::new("abcd-efgh".into()),
        }
    }

    #[test]
    fn it_reads_what_it_writes_and_shows_no_token() {
        let text = invitation().to_string();
        assert_eq!(text.parse::<Invitation>(), Ok(invitation()));
        assert_eq!(format!(" {text}\n").parse::<Invitation>(), Ok(invitation()));
        assert!(!format!("{:?}", invitation()).contains("abcd"));
        for bad in [
            "",
            "abcd-efgh",
            &text[1..],
            &text[..text.len() - 9],
            &format!("{text}AAAA"),
        ] {
            assert!(bad.parse::<Invitation>().is_err(), "{bad}");
        }
        let forged = Invitation {
            address: "x\"\nca = \"evil".into(),
            ..invitation()
        };
        assert!(forged.to_string().parse::<Invitation>().is_err());
    }

    #[test]
    fn the_profile_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.toml");
        std::fs::write(&path, &*invitation().profile("web")).unwrap();
        let profile = Profile::load(&path).unwrap();
        assert_eq!(profile.certificate, Some(folder.path().join("web.pem")));
        assert!(profile.renew && profile.pins == invitation().pins);
    }
}
