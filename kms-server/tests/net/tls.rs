//! TLS cases that must end before any handler runs, over a real socket: chains and leaves that are not to be trusted,
//! and bytes that are no handshake of ours. Together with `certificates.rs` and `lives.rs` these are the table of
//! what a peer can show. Every case has its server, and every group a good peer beside it.

use crate::client::{Client, ENCRYPT};
use crate::echo::{CLIENT, Server};
use crate::pki::{Authority, Credential, authority_params, client_params};
use kms_core::reason::Reason;
use kms_server::identity::ClientCertificate;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose, NameConstraints, SanType,
};
use rustls_pki_types::CertificateDer;

mod hello;
mod rsa;

/// Neither call nor entry of a call: whatever came of the connection.
async fn assert_no_handler(server: &Server, credential: &Credential, case: &str) {
    if let Ok(mut client) = Client::with(server, Some(credential)).await
        && let Ok(reply) = client.call(ENCRYPT, b"x").await
    {
        assert_eq!(
            reply.status().code(),
            tonic::Code::Unauthenticated,
            "{case}"
        );
    }
    let seen = server
        .until(|seen| seen.strangers + seen.shed.len() > 0)
        .await;
    assert!(seen.calls.is_empty(), "{case}: a handler ran");
}

async fn assert_handler(server: &Server, credential: &Credential, case: &str) {
    let client = Client::with(server, Some(credential)).await;
    let reply = client.unwrap().call(ENCRYPT, b"x").await;
    assert_eq!(reply.unwrap().message(), b"x", "{case}");
}

/// `authority`'s leaf with the certificates between it and a root.
fn beneath(authority: &Authority, leaf: &CertificateParams, between: &[&Authority]) -> Credential {
    let mut credential = authority.sign(leaf);
    let between = between.iter().map(|authority| authority.der());
    credential.chain.extend(between);
    credential
}

fn self_signed(mut params: CertificateParams, name: &str) -> Credential {
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Credential {
        chain: vec![certificate.der().clone()],
        pem: certificate.pem(),
        key,
    }
}

fn client() -> CertificateParams {
    client_params(&[CLIENT], 2)
}

fn changed(change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = client();
    change(&mut params);
    params
}

/// The listener's revocation lists: the root's and those of `others`.
fn revoke(server: &Server, serials: &[u64], others: &[&Authority]) {
    let mut lists = server.authority.revocations(serials);
    for other in others {
        lists += &other.revocations(&[]);
    }
    server.write("crl.pem", &lists);
    assert!(server.identity.reload().unwrap());
}

type Make = fn(&Server) -> Credential;

/// An intermediate that is missing, revoked, over, or none.
fn unfit() -> [(&'static str, Make); 5] {
    [
        ("the intermediate is missing", |server| {
            let between = server.authority.beneath(authority_params("between", 20));
            revoke(server, &[], &[&between]);
            beneath(&between, &client(), &[])
        }),
        ("the intermediate is revoked", |server| {
            let between = server.authority.beneath(authority_params("between", 20));
            revoke(server, &[20], &[&between]);
            beneath(&between, &client(), &[&between])
        }),
        ("nobody says whether the leaf is revoked", |server| {
            let between = server.authority.beneath(authority_params("between", 20));
            beneath(&between, &client(), &[&between])
        }),
        ("the intermediate has expired", |server| {
            let mut params = authority_params("between", 20);
            params.not_after = rcgen::date_time_ymd(2026, 2, 1);
            let between = server.authority.beneath(params);
            revoke(server, &[], &[&between]);
            beneath(&between, &client(), &[&between])
        }),
        ("the intermediate is no authority", |server| {
            let mut params = authority_params("between", 20);
            params.is_ca = IsCa::ExplicitNoCa;
            let between = server.authority.beneath(params);
            revoke(server, &[], &[&between]);
            beneath(&between, &client(), &[&between])
        }),
    ]
}

/// An intermediate that does what the one above does not permit.
fn too_far() -> [(&'static str, Make); 4] {
    [
        ("the intermediate may have none beneath", |server| {
            let mut params = authority_params("upper", 20);
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            let upper = server.authority.beneath(params);
            let lower = upper.beneath(authority_params("lower", 21));
            revoke(server, &[], &[&upper, &lower]);
            beneath(&lower, &client(), &[&lower, &upper])
        }),
        ("ten authorities between", |server| {
            let mut all = vec![server.authority.beneath(authority_params("a0", 20))];
            for depth in 1..10 {
                let params = authority_params(&format!("a{depth}"), 20 + depth);
                all.push(all.last().unwrap().beneath(params));
            }
            let between: Vec<_> = all.iter().rev().collect();
            revoke(server, &[], &between);
            beneath(all.last().unwrap(), &client(), &between)
        }),
        ("the intermediate may not name such hosts", |server| {
            let mut params = authority_params("between", 20);
            params.name_constraints = Some(NameConstraints {
                permitted_subtrees: vec![GeneralSubtree::DnsName("crm.example".into())],
                excluded_subtrees: Vec::new(),
            });
            let between = server.authority.beneath(params);
            revoke(server, &[], &[&between]);
            let mut leaf = client_params(&[], 2);
            let host = "billing.evil.example".try_into().unwrap();
            leaf.subject_alt_names = vec![SanType::DnsName(host)];
            beneath(&between, &leaf, &[&between])
        }),
        (
            "a wildcard around the intermediate's constraint",
            |server| {
                let mut params = authority_params("between", 20);
                params.name_constraints = Some(NameConstraints {
                    permitted_subtrees: vec![GeneralSubtree::DnsName("billing.crm.example".into())],
                    excluded_subtrees: Vec::new(),
                });
                let between = server.authority.beneath(params);
                revoke(server, &[], &[&between]);
                let mut leaf = client_params(&[], 2);
                let host = "*.crm.example".try_into().unwrap();
                leaf.subject_alt_names = vec![SanType::DnsName(host)];
                beneath(&between, &leaf, &[&between])
            },
        ),
    ]
}

#[tokio::test]
async fn a_chain_over_an_intermediate_is_good_and_none_of_its_defects_is() {
    let good = |server: &Server| {
        let between = server.authority.beneath(authority_params("between", 20));
        revoke(server, &[], &[&between]);
        beneath(&between, &client(), &[&between])
    };
    let server = Server::start();
    assert_handler(&server, &good(&server), "a good chain").await;

    for (case, make) in unfit().into_iter().chain(too_far()) {
        let server = Server::start();
        assert_no_handler(&server, &make(&server), case).await;
    }
}

/// Leaves that the listener's own authority signed, and whose names are nobody's.
fn nameless() -> Vec<(&'static str, CertificateParams)> {
    let names = |names: Vec<SanType>| changed(|it| it.subject_alt_names = names.clone());
    let uri = |text: &str| SanType::URI(text.try_into().unwrap());
    let host = |text: &str| SanType::DnsName(text.try_into().unwrap());
    let mut no_names = client_params(&[], 2);
    let empty = CustomExtension::from_oid_content(&[2, 5, 29, 17], vec![0x30, 0]);
    no_names.custom_extensions = vec![empty];
    vec![
        ("no name at all", names(Vec::new())),
        ("an empty list of names", no_names),
        (
            "an address alone",
            names(vec![SanType::IpAddress([127, 0, 0, 1].into())]),
        ),
        (
            "a mailbox alone",
            names(vec![SanType::Rfc822Name(
                "a@crm.example".try_into().unwrap(),
            )]),
        ),
        (
            "a NUL in the host",
            names(vec![host("billing.crm.example\0.evil")]),
        ),
        (
            "a NUL in the URI",
            names(vec![uri("spiffe://crm.example/contacts\0x")]),
        ),
        (
            "a blank in the host",
            names(vec![host("billing crm.example")]),
        ),
        ("a final dot", names(vec![host("billing.crm.example.")])),
        (
            "a dot segment",
            names(vec![uri("spiffe://crm.example/a/../contacts")]),
        ),
        (
            "a percent sign",
            names(vec![uri("spiffe://crm.example/cont%61cts")]),
        ),
        (
            "a port in the trust domain",
            names(vec![uri("spiffe://crm.example:1/contacts")]),
        ),
        (
            "two URIs that are the same",
            names(vec![uri(CLIENT), uri(CLIENT)]),
        ),
    ]
}

/// Leaves with a good name that are not for callers.
fn for_others() -> Vec<(&'static str, CertificateParams)> {
    let usages =
        |usages: &[ExtendedKeyUsagePurpose]| changed(|it| it.extended_key_usages = usages.to_vec());
    let keys = |usages: &[KeyUsagePurpose]| changed(|it| it.key_usages = usages.to_vec());
    let authority = changed(|it| it.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    let unknown = changed(|it| {
        let oid = [1, 3, 6, 1, 4, 1, 99_999, 1];
        let mut critical = CustomExtension::from_oid_content(&oid, vec![5, 0]);
        critical.set_criticality(true);
        it.custom_extensions = vec![critical];
    });
    vec![
        ("an authority as a leaf", authority),
        ("an extension that must be understood", unknown),
        (
            "for mail",
            usages(&[ExtendedKeyUsagePurpose::EmailProtection]),
        ),
        ("for code", usages(&[ExtendedKeyUsagePurpose::CodeSigning])),
        ("for anything", usages(&[ExtendedKeyUsagePurpose::Any])),
        (
            "a key for certificates only",
            keys(&[KeyUsagePurpose::KeyCertSign]),
        ),
        (
            "a key for agreement only",
            keys(&[KeyUsagePurpose::KeyAgreement]),
        ),
    ]
}

#[tokio::test]
async fn leaves_of_the_right_authority_that_are_nobodys() {
    for (case, params) in nameless().into_iter().chain(for_others()) {
        let server = Server::start();
        let credential = server.authority.sign(&params);
        assert_no_handler(&server, &credential, case).await;
    }
    let server = Server::start();
    let usages = [
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyAgreement,
    ];
    let params = changed(|it| it.key_usages = usages.to_vec());
    assert_handler(
        &server,
        &server.authority.sign(&params),
        "a key for signatures too",
    )
    .await;
}

#[tokio::test]
async fn nobody_signs_for_himself() {
    let cases: [(&str, Make); 5] = [
        ("self-signed", |_| self_signed(client(), "contacts")),
        ("self-signed in the authority's name", |_| {
            self_signed(client(), "Test Authority")
        }),
        ("self-signed, the authority behind it", |server| {
            let mut credential = self_signed(client(), "Test Authority");
            credential.chain.push(server.authority.der());
            credential
        }),
        ("the authority itself", |server| {
            server.authority.as_client()
        }),
        ("another's certificate, another key", |server| {
            // the handshake's signature is made by a key that the certificate does not name
            let mut credential = server.authority.client(CLIENT);
            credential.key = KeyPair::generate().unwrap();
            credential
        }),
    ];
    for demand in [ClientCertificate::Required, ClientCertificate::Optional] {
        for (case, make) in &cases {
            let server = Server::with(demand, |_| {});
            assert_no_handler(&server, &make(&server), case).await;
        }
    }
}

#[tokio::test]
async fn bytes_that_are_no_certificate_are_none() {
    let server = Server::start();
    let good = server.authority.client(CLIENT);
    let whole = good.chain[0].to_vec();
    let shortened = whole[..whole.len() - 1].to_vec();
    let longer = [&whole[..], &[0]].concat();
    let mut flipped = whole.clone();
    let at = whole.len() / 2;
    flipped[at] ^= 1;
    for (case, bytes) in [
        ("empty", Vec::new()),
        ("noise", vec![0xA5; 600]),
        ("shortened", shortened),
        ("longer", longer),
        ("flipped", flipped),
    ] {
        let server = Server::start();
        let credential = Credential {
            chain: vec![CertificateDer::from(bytes)],
            pem: String::new(),
            key: KeyPair::from_pem(&good.key.serialize_pem()).unwrap(),
        };
        assert_no_handler(&server, &credential, case).await;
        let seen = server.seen.borrow().clone();
        assert!(
            seen.shed
                .iter()
                .all(|reason| *reason == Reason::Unauthenticated)
        );
    }
}
