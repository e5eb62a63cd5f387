//! The built-in certificate authority: X.509 around the key that kms-core holds. A certificate's names are made from a
//! principal that the caller of this module got from a record; nothing that a request says stands in one.

pub mod request;

use kms_core::cipher::authority::{AuthorityKey, SubjectKey};
use kms_core::cipher::sha256;
use kms_core::codec::hex;
use kms_core::entropy::{Entropy, make_bytes};
use kms_core::key::record::{AuthorityRecord, Certified};
use kms_core::name::PrincipalName;
use kms_core::secret::AuthoritySeed;
use kms_core::time::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData, SanType,
    SerialNumber, SignatureAlgorithm, SigningKey, date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use std::time::Duration;

/// How long the authority's own certificate is valid.
const LIFE: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);
/// A clock that is a little behind must not find a certificate that is not valid yet.
const BACKDATED: Duration = Duration::from_mins(1);
/// Random bytes of a serial number (RFC 5280, 4.1.2.2 allows 20).
const SERIAL_LEN: usize = 16;

/// No certificate came about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the certificate cannot be made: {0}")]
pub struct NotIssued(String);

impl NotIssued {
    fn because(error: impl ToString) -> Self {
        Self(error.to_string())
    }
}

/// See the module.
pub struct Authority {
    issuer: Issuer<'static, Signer>,
    certificate: CertificateDer<'static>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority(<redacted>)")
    }
}

/// A certificate that was made.
#[derive(Debug, Clone)]
pub struct Issued {
    /// X.509.
    pub der: CertificateDer<'static>,
    /// What a record keeps of it.
    pub certified: Certified,
}

/// What the certificate of a server is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Usage<'a> {
    /// A client of this name.
    Client(&'a PrincipalName),
    /// A server under these DNS names and addresses.
    Server(&'a [String]),
}

impl Authority {
    /// A new one with its own certificate.
    ///
    /// # Errors
    /// [`NotIssued`].
    pub fn make(
        seed: AuthoritySeed,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<(Self, AuthorityRecord), NotIssued> {
        let signer = Signer::new(&seed)?;
        let mut params = params_of(&signer);
        valid(&mut params, now, LIFE);
        params.serial_number = Some(serial(entropy)?);
        let certificate = params.self_signed(&signer).map_err(NotIssued::because)?;
        let record = AuthorityRecord {
            seed,
            certificate: certificate.der().to_vec().into(),
        };
        let made = Self {
            certificate: certificate.der().clone(),
            issuer: Issuer::new(params, signer),
        };
        Ok((made, record))
    }

    /// The stored one.
    ///
    /// # Errors
    /// [`NotIssued`] when its key is none.
    pub fn open(record: &AuthorityRecord) -> Result<Self, NotIssued> {
        let signer = Signer::new(&record.seed)?;
        Ok(Self {
            certificate: CertificateDer::from(record.certificate.to_vec()),
            issuer: Issuer::new(params_of(&signer), signer),
        })
    }

    /// Its own certificate.
    #[must_use]
    pub const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Certifies `key` for `life` from `now` on.
    ///
    /// # Errors
    /// [`NotIssued`].
    pub fn issue(
        &self,
        usage: &Usage<'_>,
        key: &SubjectKey,
        life: Duration,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Issued, NotIssued> {
        let mut params = match usage {
            Usage::Client(principal) => {
                let mut params = CertificateParams::default();
                let uri = principal.as_str().try_into().map_err(NotIssued::because)?;
                params.subject_alt_names = vec![SanType::URI(uri)];
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
                params
            }
            Usage::Server(names) => {
                let mut params =
                    CertificateParams::new(names.to_vec()).map_err(NotIssued::because)?;
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
                params
            }
        };
        // RFC 5280, 4.1.2.6: without a subject the alternative names are critical; no name is a common name
        params.distinguished_name = DistinguishedName::new();
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(serial(entropy)?);
        let expires_at = valid(&mut params, now, life);
        let subject = Subject(key);
        let made = params
            .signed_by(&subject, &self.issuer)
            .map_err(NotIssued::because)?;
        let der = made.der().clone();
        let certified = Certified {
            sha256: sha256(&[&der]),
            issued_at: now,
            expires_at,
        };
        Ok(Issued { der, certified })
    }
}

/// The authority's own parameters follow from its key alone.
fn params_of(signer: &Signer) -> CertificateParams {
    let mut params = CertificateParams::default();
    let hash = sha256(&[&signer.public]);
    let short = hash
        .first_chunk::<4>()
        .map_or_else(String::new, |it| hex(it));
    params.distinguished_name = DistinguishedName::new();
    let name = format!("KMS authority {short}");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Whole seconds, as X.509 has them; the end.
fn valid(params: &mut CertificateParams, now: Timestamp, life: Duration) -> Timestamp {
    let epoch = date_time_ymd(1970, 1, 1);
    let seconds = |at: Timestamp| {
        let seconds = at.as_micros().div_euclid(1_000_000);
        u64::try_from(seconds).unwrap_or(0)
    };
    let end = seconds(now.saturating_add(life));
    params.not_before = epoch + Duration::from_secs(seconds(now.saturating_sub(BACKDATED)));
    params.not_after = epoch + Duration::from_secs(end);
    Timestamp::from_micros(i64::try_from(end).unwrap_or(0).saturating_mul(1_000_000))
}

fn serial(entropy: &dyn Entropy) -> Result<SerialNumber, NotIssued> {
    let mut bytes: [u8; SERIAL_LEN] = make_bytes(entropy).map_err(NotIssued::because)?;
    // positive, and of one length
    let [first, ..] = &mut bytes;
    *first = (*first & 0x7f) | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

struct Signer {
    key: AuthorityKey,
    public: [u8; 32],
}

impl Signer {
    fn new(seed: &AuthoritySeed) -> Result<Self, NotIssued> {
        let key = AuthorityKey::new(seed).map_err(NotIssued::because)?;
        let public = key.public().0;
        Ok(Self { key, public })
    }
}

impl PublicKeyData for Signer {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

impl SigningKey for Signer {
    fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(self.key.sign(bytes).to_vec())
    }
}

struct Subject<'a>(&'a SubjectKey);

impl PublicKeyData for Subject<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self.0 {
            SubjectKey::P256(_) => &PKCS_ECDSA_P256_SHA256,
            SubjectKey::Ed25519(_) => &PKCS_ED25519,
        }
    }
}

#[cfg(test)]
mod tests;
