//! RSA tokens over a socket. The key is OpenSSL's: nothing here makes RSA keys.

use super::issuer::{claims, encode};
use super::{Scene, assert_refused, status};
use crate::has_tool;
use ring::rand::SystemRandom;
use ring::signature::{
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RsaEncoding, RsaKeyPair,
    RsaPublicKeyComponents,
};
use serde_json::json;
use std::process::Command;

fn key(bits: u32) -> RsaKeyPair {
    let output = Command::new("openssl")
        .args([
            "genpkey",
            "-algorithm",
            "RSA",
            "-outform",
            "DER",
            "-pkeyopt",
        ])
        .arg(format!("rsa_keygen_bits:{bits}"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    // OpenSSL's versions differ in what they wrap it in
    RsaKeyPair::from_der(&output.stdout)
        .or_else(|_| RsaKeyPair::from_pkcs8(&output.stdout))
        .unwrap()
}

fn token(key: &RsaKeyPair, alg: &str, padding: &'static dyn RsaEncoding, claims: &str) -> String {
    let header = json!({"typ": "at+jwt", "alg": alg, "kid": "rsa"}).to_string();
    let signed = format!("{}.{}", encode(header), encode(claims));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(
        padding,
        &SystemRandom::new(),
        signed.as_bytes(),
        &mut signature,
    )
    .unwrap();
    format!("{signed}.{}", encode(signature))
}

#[tokio::test]
async fn rsa_tokens_pass_by_the_algorithms_of_the_list_and_no_other_way() {
    if !has_tool("openssl") {
        return;
    }
    let scene = Scene::new("optional");
    let path = scene.process.installation.dir().join("kms.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let listed = "algorithms = [\"RS256\", \"PS256\", \"PS384\"]";
    let text = text.replace("algorithms = [\"EdDSA\", \"ES256\"]", listed);
    assert!(text.contains(listed));
    std::fs::write(&path, text).unwrap();
    let (own, other) = (key(2_048), key(3_072));
    let public = RsaPublicKeyComponents::<Vec<u8>>::from(own.public());
    let entry = json!({"kty": "RSA", "kid": "rsa", "use": "sig", "n": encode(public.n), "e": encode(public.e)});
    scene.write_keys(&[entry]);
    let running = scene.process.serve().await;
    let caller = scene.nobody(&running).await;
    let claims = claims(scene.now()).to_string();
    for (alg, padding) in [
        ("RS256", &RSA_PKCS1_SHA256 as &'static dyn RsaEncoding),
        ("PS256", &RSA_PSS_SHA256),
        ("PS384", &RSA_PSS_SHA384),
    ] {
        let good = token(&own, alg, padding, &claims);
        status(&caller, &good).await.unwrap();
        assert_refused(
            alg,
            status(&caller, &token(&other, alg, padding, &claims)).await,
        );
        let mut flipped = good.into_bytes();
        let last = flipped.len() - 20;
        flipped[last] = if flipped[last] == b'A' { b'B' } else { b'A' };
        let flipped = String::from_utf8(flipped).unwrap();
        assert_refused(alg, status(&caller, &flipped).await);
    }
    for (name, alg, padding) in [
        (
            "another padding than it says",
            "PS256",
            &RSA_PKCS1_SHA256 as &'static dyn RsaEncoding,
        ),
        ("another hash than it says", "PS256", &RSA_PSS_SHA384),
        ("not of the list", "RS512", &RSA_PKCS1_SHA512),
        ("an elliptic name", "ES256", &RSA_PKCS1_SHA256),
        ("a shared key's name", "HS256", &RSA_PKCS1_SHA256),
    ] {
        assert_refused(
            name,
            status(&caller, &token(&own, alg, padding, &claims)).await,
        );
    }
    running.stop().await;
}
