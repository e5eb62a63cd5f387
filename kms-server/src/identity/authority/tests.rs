use super::request::{self, Unfit, read};
use super::*;
use kms_core::cipher::system_entropy::SystemEntropy;
use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384};
use rustls_pki_types::UnixTime;
use std::sync::Arc;
use x509_parser::prelude::{FromDer, X509Certificate};

const NOW: Timestamp = Timestamp::from_micros(1_795_500_000_000_000);

fn authority() -> (Authority, AuthorityRecord) {
    let seed = AuthoritySeed::take_bytes(&mut [3; 32]);
    Authority::make(seed, NOW, &SystemEntropy::new()).unwrap()
}

fn request(algorithm: &'static SignatureAlgorithm) -> (KeyPair, Vec<u8>) {
    let pair = KeyPair::generate_for(algorithm).unwrap();
    let mut params = CertificateParams::new(vec!["evil.example".to_owned()]).unwrap();
    let uri = "spiffe://crm.example/service/other".try_into().unwrap();
    params.subject_alt_names.push(SanType::URI(uri));
    let csr = params.serialize_request(&pair).unwrap();
    (pair, csr.der().to_vec())
}

fn issue(authority: &Authority, key: &SubjectKey) -> Issued {
    let principal = PrincipalName::parse("spiffe://crm.example/service/web").unwrap();
    let day = Duration::from_hours(24);
    let usage = Usage::Client(&principal);
    authority
        .issue(&usage, key, day, NOW, &SystemEntropy::new())
        .unwrap()
}

#[test]
fn a_certificate_says_what_the_record_says_and_nothing_of_the_request() {
    let (authority, _) = authority();
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ED25519] {
        let (pair, csr) = request(algorithm);
        let key = read(&csr).unwrap();
        assert_eq!(key.bytes(), pair.der_bytes());
        let issued = issue(&authority, &key);
        let (_, parsed) = X509Certificate::from_der(&issued.der).unwrap();
        let names = parsed.subject_alternative_name().unwrap().unwrap();
        assert!(names.critical);
        assert_eq!(names.value.general_names.len(), 1);
        assert!(parsed.subject().iter().next().is_none());
        assert!(!parsed.is_ca());
        let presented =
            crate::identity::certificate::Presented::read(vec![issued.der.clone()]).unwrap();
        assert_eq!(
            presented.name().unwrap().as_str(),
            "spiffe://crm.example/service/web"
        );
        assert_eq!(presented.sha256(), &issued.certified.sha256);
        assert!(presented.is_valid_at(NOW));
        assert!(!presented.is_valid_at(issued.certified.expires_at.saturating_add(LIFE)));
    }
}

/// rustls' own verifier, as the listener has it.
#[test]
fn certificates_verify_under_the_authority_as_opened_again_and_under_no_other() {
    let (_, record) = authority();
    let opened = Authority::open(&record).unwrap();
    assert_eq!(&**opened.certificate(), &*record.certificate);
    let (_, csr) = request(&PKCS_ECDSA_P256_SHA256);
    let issued = issue(&opened, &read(&csr).unwrap());
    let verifier = |root: &Authority| {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(root.certificate().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .unwrap()
    };
    let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let now = 1_795_500_000;
    let check = |root: &Authority, seconds| {
        verifier(root)
            .verify_client_cert(&issued.der, &[], at(seconds))
            .map(drop)
    };
    check(&opened, now).unwrap();
    check(&opened, now + 24 * 3_600 + 1).unwrap_err();
    check(&opened, now - 3_600).unwrap_err();
    let seed = AuthoritySeed::take_bytes(&mut [4; 32]);
    let (other, _) = Authority::make(seed, NOW, &SystemEntropy::new()).unwrap();
    check(&other, now).unwrap_err();
}

#[test]
fn requests_that_do_not_fit_are_told_apart_from_those_that_lie() {
    let (_, p384) = request(&PKCS_ECDSA_P384_SHA384);
    assert!(read(&p384).unwrap_err().0.contains("P-256"));
    let (_, good) = request(&PKCS_ECDSA_P256_SHA256);
    read(&good).unwrap();
    let mut long = good.clone();
    long.push(0);
    assert!(read(&long).unwrap_err().0.contains("PKCS #10"));
    assert!(read(&vec![0x30; request::LEN_MAX + 1]).is_err());
    // the key of one request in the other's place: nobody showed that he holds it
    let (ed, _) = request(&PKCS_ED25519);
    let (_, csr) = request(&PKCS_ED25519);
    let (other, _) = request(&PKCS_ED25519);
    let at = csr
        .windows(32)
        .position(|it| it == read(&csr).unwrap().bytes())
        .unwrap();
    let mut foreign = csr.clone();
    foreign[at..at + 32].copy_from_slice(ed.der_bytes());
    assert_eq!(
        read(&foreign),
        Err(Unfit("a request signed by the key in it"))
    );
    foreign[at..at + 32].copy_from_slice(other.der_bytes());
    assert!(read(&foreign).is_err());
}

#[test]
fn every_changed_byte_is_noticed_and_no_prefix_is_taken() {
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ED25519] {
        let (_, good) = request(algorithm);
        let key = read(&good).unwrap();
        for at in 0..good.len() {
            assert!(read(&good[..at]).is_err(), "{at}");
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(read(&bad).is_err(), "byte {at}");
        }
        assert_eq!(read(&good), Ok(key));
    }
}
