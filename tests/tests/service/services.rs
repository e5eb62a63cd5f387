//! The built-in authority: who enrols, how long a certificate counts, and that revoking it ends it.

use crate::services::scene::{Scene, csr, enrol_raw, generate, renew_raw, why};
use kms_client::identity::{self, Invitation};
use kms_client::proto::v1;
use kms_client::{Client, ErrorKind};
use kms_tests::production::Production;
use rcgen::PKCS_ECDSA_P384_SHA384;
use std::time::Duration;

mod desks;
mod renewing;
mod scene;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test]
async fn a_service_goes_from_nothing_to_its_first_data_key_renews_and_is_revoked() {
    let scene = Scene::open().await;
    let invitation = scene.invite("web").await;
    let web = scene.enrol(&invitation).await;
    let first = scene.client(&web).await;
    generate(&first).await.unwrap();

    // the next certificate is another, and the connection of the first goes on
    let profile = scene.profile(&web);
    let before = std::fs::read(profile.certificate.clone().unwrap()).unwrap();
    scene.production.clock.advance(DAY * 5);
    // a connection that idled that long is closed; this one is new
    generate(&first).await.unwrap();
    identity::renew(&first, &profile).await.unwrap();
    let after = std::fs::read(profile.certificate.clone().unwrap()).unwrap();
    assert_ne!(before, after);
    generate(&first).await.unwrap();
    let second = scene.client(&web).await;
    generate(&second).await.unwrap();

    let revoked = scene.revoke("web").await.unwrap();
    assert_eq!(revoked.service.unwrap().state(), v1::ServiceState::Revoked);
    for turn in 0..crate::scale(500, 5_000) {
        for client in [&first, &second] {
            let refused = generate(client).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Unauthenticated, "{turn}");
        }
    }
    // a new connection comes about, and nobody is on it
    let again = Client::connect_lazy(&profile).await.unwrap();
    assert_eq!(why(generate(&again).await), "UNAUTHENTICATED");
    assert_eq!(
        why(identity::renew(&again, &profile).await),
        "UNAUTHENTICATED"
    );
    // and so it is after a restart
    let scene = scene.restart().await;
    let client = scene.client(&web).await;
    assert_eq!(why(generate(&client).await), "UNAUTHENTICATED");
}

#[tokio::test]
async fn a_token_is_taken_once_by_one_of_many() {
    let scene = Scene::open().await;
    let invitation = scene.invite("web").await;
    let folders: Vec<_> = (0..50).map(|_| tempfile::tempdir().unwrap()).collect();
    let tries = folders
        .iter()
        .map(|folder| identity::enrol(&invitation, folder.path()));
    let mut enrolled = 0;
    for tried in futures(tries).await {
        match tried {
            Ok(_) => enrolled += 1,
            Err(error) => assert_eq!(error.reason(), Some("UNAUTHENTICATED"), "{error:?}"),
        }
    }
    assert_eq!(enrolled, 1);
    let left = folders
        .iter()
        .filter(|it| it.path().join("web.pem").exists());
    assert_eq!(left.count(), 1);
    assert_eq!(why(scene.try_enrol(&invitation).await), "UNAUTHENTICATED");
    let scene = scene.restart().await;
    let invitation = scene.moved(invitation);
    assert_eq!(why(scene.try_enrol(&invitation).await), "UNAUTHENTICATED");
}

/// All at once.
async fn futures<T>(tries: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = tries.map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|context| {
        let mut ready = true;
        for (one, done) in waiting.iter_mut().filter(|(_, done)| done.is_none()) {
            match one.as_mut().poll(context) {
                std::task::Poll::Ready(value) => *done = Some(value),
                std::task::Poll::Pending => ready = false,
            }
        }
        if ready {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    waiting.into_iter().filter_map(|(_, done)| done).collect()
}

#[tokio::test]
async fn tokens_end_and_wrong_ones_are_nobodys() {
    let scene = Scene::open().await;
    let invitation = scene.invite("web").await;
    let with = |token: &str| Invitation {
        token: zeroize::Zeroizing::new(token.to_owned()),
        ..invitation.clone()
    };
    let right = invitation.token.to_string();
    let mut changed = right.clone().into_bytes();
    changed[0] = if changed[0] == b'a' { b'b' } else { b'a' };
    let changed = String::from_utf8(changed).unwrap();
    for wrong in [
        &changed,
        &right[1..],
        "x",
        &format!("{right}a"),
        &"a".repeat(64),
        &"a".repeat(65),
    ] {
        let refused = scene.try_enrol(&with(wrong)).await;
        assert_eq!(why(refused), "UNAUTHENTICATED", "{wrong}");
    }
    // a stranger's calls are counted, not written one by one
    let entries = scene.entries("EnrolService").await;
    assert!(entries.is_empty(), "{entries:?}");
    // however it is typed
    scene
        .try_enrol(&with(&right.to_uppercase().replace('-', "")))
        .await
        .unwrap();
    let entries = scene.entries("EnrolService").await;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].principal, "spiffe://crm.example/service/web");

    let late = scene.invite("late").await;
    scene.production.clock.advance(DAY - Duration::from_secs(1));
    let other = scene.invite("other").await;
    scene.production.clock.advance(Duration::from_secs(1));
    assert_eq!(why(scene.try_enrol(&late).await), "UNAUTHENTICATED");
    scene.try_enrol(&other).await.unwrap();
}

#[tokio::test]
async fn who_shows_a_certificate_does_not_enrol() {
    let scene = Scene::open().await;
    let invitation = scene.invite("web").await;
    let desk = scene.production.desk(&scene.running).await;
    let (_, request) = csr(&rcgen::PKCS_ED25519);
    assert_eq!(
        why(enrol_raw(&desk, &invitation, request.clone()).await),
        "SESSION_REQUIRED"
    );
    let alice = scene.alice().await;
    assert_eq!(
        why(enrol_raw(&alice, &invitation, request.clone()).await),
        "DENIED"
    );
    // the token is good as before
    let nobody = scene.nobody(&invitation).await;
    enrol_raw(&nobody, &invitation, request).await.unwrap();
}

#[tokio::test]
async fn a_request_is_signed_by_a_key_of_a_taken_kind_and_names_nobody() {
    let scene = Scene::open().await;
    let invitation = scene.invite("web").await;
    let nobody = scene.nobody(&invitation).await;
    let (_, p384) = csr(&PKCS_ECDSA_P384_SHA384);
    let (_, good) = csr(&rcgen::PKCS_ED25519);
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    for bad in [
        Vec::new(),
        vec![0x30; 100],
        p384,
        forged,
        vec![0; 5_000],
        good[1..].to_vec(),
    ] {
        let refused = enrol_raw(&nobody, &invitation, bad).await.unwrap_err();
        assert_eq!(refused.reason(), Some("INVALID_ARGUMENT"));
    }
    // what it says of itself (csr() says "other" and "evil.example") is not looked at
    let answer = enrol_raw(&nobody, &invitation, good).await.unwrap();
    let service = answer.service.unwrap();
    assert_eq!(service.principal, "spiffe://crm.example/service/web");
    let leaf = answer.certificate_chain[0].to_vec();
    let names = |what: &[u8]| leaf.windows(what.len()).any(|it| it == what);
    assert!(names(b"spiffe://crm.example/service/web"));
    assert!(!names(b"evil") && !names(b"other"));
}

#[tokio::test]
async fn one_identity_has_one_holder() {
    let scene = Scene::open().await;
    let web = scene.enrol(&scene.invite("web").await).await;
    let (thief, kept) = (scene.copy(&web, "thief"), scene.copy(&web, "kept"));
    let owner = scene.client(&web).await;
    let stolen = scene.client(&thief).await;
    identity::renew(&owner, &scene.profile(&web)).await.unwrap();
    // the first certificate is good beside the second, and renewing it again ends the second
    generate(&stolen).await.unwrap();
    let second = scene.client(&web).await;
    generate(&second).await.unwrap();
    identity::renew(&stolen, &scene.profile(&thief))
        .await
        .unwrap();
    assert_eq!(why(generate(&second).await), "UNAUTHENTICATED");
    let third = scene.client(&thief).await;
    generate(&third).await.unwrap();
    // of a chain of three the first is over
    let first = scene.client(&kept).await;
    generate(&first).await.unwrap();
    identity::renew(&third, &scene.profile(&thief))
        .await
        .unwrap();
    assert_eq!(why(generate(&first).await), "UNAUTHENTICATED");
    generate(&third).await.unwrap();
    let entries = scene.entries("RenewService").await;
    let noted = entries
        .iter()
        .filter(|it| it.detail.contains("renewed before"));
    assert_eq!(noted.count(), 1);
}

#[tokio::test]
async fn a_certificate_ends_and_enrolling_again_ends_those_before() {
    let scene = Scene::open().await;
    let web = scene.enrol(&scene.invite("web").await).await;
    let client = scene.client(&web).await;
    scene
        .production
        .clock
        .advance(DAY * 7 - Duration::from_secs(5));
    generate(&client).await.unwrap();
    scene.production.clock.advance(Duration::from_secs(10));
    let profile = scene.profile(&web);
    // by the road, or already by the handshake of a new connection
    let ended = [
        generate(&client).await.map(drop),
        identity::renew(&client, &profile).await.map(drop),
    ];
    for refused in ended {
        let kind = refused.unwrap_err().kind();
        let closed = matches!(kind, ErrorKind::Unauthenticated | ErrorKind::Unavailable);
        assert!(closed, "{kind:?}");
    }
    let listed = scene.list().await;
    let state = |name: &str| {
        let found = listed
            .iter()
            .find(|it| it.name == format!("services/{name}"));
        found.unwrap().state()
    };
    assert_eq!(state("web"), v1::ServiceState::Expired);
    assert_eq!(state("first"), v1::ServiceState::Enrolled);

    assert_eq!(why(scene.add("web", false).await), "ALREADY_EXISTS");
    assert_eq!(why(scene.add("unknown", true).await), "DENIED");
    let once = scene.add("web", true).await.unwrap();
    let web = scene.enrol(&once).await;
    let client = scene.client(&web).await;
    generate(&client).await.unwrap();
    // permitted is not yet done
    let twice = scene.add("web", true).await.unwrap();
    generate(&client).await.unwrap();
    let elsewhere = scene.enrol_in(&twice, "elsewhere").await;
    assert_eq!(why(generate(&client).await), "UNAUTHENTICATED");
    generate(&scene.client(&elsewhere).await).await.unwrap();
    // also after it was revoked; a token from before the revocation is over
    let stale = scene.add("web", true).await.unwrap();
    scene.revoke("web").await.unwrap();
    assert_eq!(why(scene.try_enrol(&stale).await), "UNAUTHENTICATED");
    let back = scene.add("web", true).await.unwrap();
    let web = scene.enrol_in(&back, "back").await;
    generate(&scene.client(&web).await).await.unwrap();
    assert_eq!(why(scene.revoke("nobody").await), "DENIED");
}

/// Whoever else the listener trusts: below the two paths only records count.
#[tokio::test]
async fn another_authority_makes_no_service_of_ours() {
    use kms_tests::certificate::Authority;
    let production = Production::default();
    let ca = production.dir().join("pki/ca.pem");
    let other = Authority::new("another");
    let both = std::fs::read_to_string(&ca).unwrap() + &other.certificate;
    std::fs::write(&ca, both).unwrap();
    let scene = Scene::over(production).await;
    let web = scene.enrol(&scene.invite("web").await).await;
    for name in [
        "service/web",
        "service/nobody",
        "desk/first",
        "service/a/b",
        "desk/FIRST",
    ] {
        let leaf = other.client(&format!("spiffe://crm.example/{name}"));
        let path = scene.production.scratch().join("forged.pem");
        std::fs::write(&path, leaf.key + &leaf.certificate).unwrap();
        let mut profile = scene.profile(&web);
        (profile.certificate, profile.key) = (Some(path.clone()), Some(path));
        let client = Client::connect(&profile).await.unwrap();
        assert_eq!(why(generate(&client).await), "UNAUTHENTICATED", "{name}");
        assert_eq!(why(renew_raw(&client).await), "UNAUTHENTICATED", "{name}");
    }
    generate(&scene.client(&web).await).await.unwrap();
}

#[tokio::test]
async fn only_security_admins_add_and_revoke_each_with_a_new_code() {
    let scene = Scene::open().await;
    let web = scene.enrol(&scene.invite("web").await).await;
    let client = scene.client(&web).await;
    assert_eq!(why(scene.add_as(&client, "other").await), "DENIED");
    let desk = scene.production.desk(&scene.running).await;
    assert_eq!(why(scene.add_as(&desk, "other").await), "SESSION_REQUIRED");
    for action in ["AddService", "RevokeService"] {
        let action = kms_core::policy::Action::ALL
            .iter()
            .find(|it| it.as_str() == action);
        let asked = kms_core::policy::Freshness::of(*action.unwrap());
        assert_eq!(asked, kms_core::policy::Freshness::Each);
    }
    let entries = scene.entries("AddService").await;
    let noted: Vec<_> = entries
        .iter()
        .map(|it| (&*it.outcome, &*it.detail))
        .collect();
    assert!(
        noted.contains(&("OK", "services/web (service)")),
        "{noted:?}"
    );
}
