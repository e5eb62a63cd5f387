//! A certificate authority of our own, a server's certificate, one for each kind of client, an empty
//! revocation list, and a second server key that is only kept for its pin. For development alone: the
//! authority's key lies beside the rest.

use crate::installation;
use crate::system::failure::{Failure, FailureKind};
use crate::system::{directory, private_file};
use kms_core::time::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, date_time_ymd,
};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// Years that everything is valid: long enough to try what a clock that leaps does.
const YEARS: i32 = 25;

/// Client certificates: file name and principal.
const CLIENTS: [(&str, &str); 4] = [
    ("service", "spiffe://crm.example/service/web"),
    ("operator", "spiffe://crm.example/operator/alice"),
    ("approver", "spiffe://crm.example/operator/bob"),
    ("auditor", "spiffe://crm.example/auditor/ada"),
];

/// Makes `place/pki`, whole or not at all.
///
/// # Errors
/// [`Failure`].
pub(super) fn make(place: &Path, now: Timestamp) -> Result<(), Failure> {
    let aside = place.join("pki.making");
    if aside.exists() {
        fs::remove_dir_all(&aside).map_err(|error| Failure::io(&aside, &error))?;
    }
    directory::create_private(&aside)?;
    make_in(&aside, now)?;
    let io = |error: std::io::Error| Failure::io(&aside, &error);
    fs::rename(&aside, place.join("pki")).map_err(io)?;
    directory::sync(place).map_err(io)
}

fn make_in(place: &Path, now: Timestamp) -> Result<(), Failure> {
    let mut authority = params("KMS development CA", now)?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority = CertifiedIssuer::self_signed(authority, new_key()?).map_err(|e| failed(&e))?;
    write(place, "ca.pem", authority.pem().as_bytes())?;
    write(place, "ca.key", authority.key().serialize_pem().as_bytes())?;
    let ((year, from), (last, to)) = (month(now, 0), month(now, YEARS));
    let revoked = CertificateRevocationListParams {
        this_update: date_time_ymd(year, from, 1),
        next_update: date_time_ymd(last, to, 1),
        crl_number: SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let revoked = revoked.signed_by(&authority).map_err(|e| failed(&e))?;
    let pem = revoked.pem().map_err(|e| failed(&e))?;
    write(place, "crl.pem", pem.as_bytes())?;

    let mut server = params("KMS development server", now)?;
    server.subject_alt_names = vec![
        SanType::DnsName("localhost".try_into().map_err(|e| failed(&e))?),
        SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)),
    ];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    issue(place, "server", server, &authority)?;
    let backup = new_key()?;
    write(
        place,
        "server-backup.key",
        backup.serialize_pem().as_bytes(),
    )?;
    for (name, principal) in CLIENTS {
        let mut client = params(name, now)?;
        let uri = principal.try_into().map_err(|e| failed(&e))?;
        client.subject_alt_names = vec![SanType::URI(uri)];
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        issue(place, name, client, &authority)?;
    }
    directory::sync(place).map_err(|error| Failure::io(place, &error))
}

/// SPKI pins of the server's key and of the one kept for the day that the first must go:
/// `sha256/BASE64` of the SubjectPublicKeyInfo (RFC 7469).
///
/// # Errors
/// [`Failure`] when a key file is missing or damaged.
pub(super) fn pins(place: &Path) -> Result<[String; 2], Failure> {
    let pin = |name: &str| {
        let path = place.join("pki").join(name);
        let pem = private_file::read_secret(&path)?;
        let text = str::from_utf8(&pem).map_err(|e| failed(&e))?;
        let key = KeyPair::from_pem(text).map_err(|error| {
            Failure::new(FailureKind::Other, format!("{}: {error}", path.display()))
        })?;
        Ok::<_, Failure>(installation::pin(&key.subject_public_key_info()))
    };
    Ok([pin("server.key")?, pin("server-backup.key")?])
}

fn issue(
    place: &Path,
    name: &str,
    mut params: CertificateParams,
    authority: &CertifiedIssuer<'_, KeyPair>,
) -> Result<(), Failure> {
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let key = new_key()?;
    let certificate = params.signed_by(&key, authority).map_err(|e| failed(&e))?;
    write(place, &format!("{name}.pem"), certificate.pem().as_bytes())?;
    write(
        place,
        &format!("{name}.key"),
        key.serialize_pem().as_bytes(),
    )
}

fn params(name: &str, now: Timestamp) -> Result<CertificateParams, Failure> {
    let mut params = CertificateParams::new(Vec::new()).map_err(|e| failed(&e))?;
    let ((year, from), (last, to)) = (month(now, 0), month(now, YEARS));
    params.not_before = date_time_ymd(year, from, 1);
    params.not_after = date_time_ymd(last, to, 1);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

/// Year and month, so many years later.
fn month(now: Timestamp, years: i32) -> (i32, u8) {
    let (year, month) = now.month();
    let year = i32::try_from(year).unwrap_or(1970);
    (year.saturating_add(years), month)
}

fn new_key() -> Result<KeyPair, Failure> {
    KeyPair::generate().map_err(|e| failed(&e))
}

fn write(place: &Path, name: &str, bytes: &[u8]) -> Result<(), Failure> {
    let path = place.join(name);
    private_file::replace(&path, bytes).map_err(|error| Failure::io(&path, &error))
}

fn failed(error: &dyn std::fmt::Display) -> Failure {
    let message = format!("the development certificates cannot be made: {error}");
    Failure::new(FailureKind::Other, message)
}
