//! Tokens with one thing wrong each: the classes of RFC 8725, of advisories and of attack tools.

use super::issuer::{AUDIENCE, ISSUER, Issuer, claims, encode, header};
use ring::hmac;
use serde_json::{Value, json};

pub(super) type Case = (String, String);

pub(super) fn wrong(issuer: &Issuer, now: i64) -> Vec<Case> {
    let mut cases = headers(issuer, now);
    cases.extend(forms(issuer, now));
    cases.extend(signatures(issuer, now));
    cases.extend(times(issuer, now));
    cases.extend(names(issuer, now));
    cases
}

fn headers(issuer: &Issuer, now: i64) -> Vec<Case> {
    let key = issuer.keys()[0].clone();
    let changes = [
        ("alg", json!("none")),
        ("alg", json!("None")),
        ("alg", json!("NONE")),
        ("alg", json!("nOnE")),
        ("alg", json!("")),
        ("alg", json!(null)),
        ("alg", json!(["EdDSA"])),
        ("alg", json!("eddsa")),
        ("alg", json!("RS256")),
        ("alg", json!("PS256")),
        ("alg", json!("ES256")),
        ("alg", json!("ES384")),
        ("alg", json!("HS256")),
        ("alg", json!("Ed25519")),
        ("jwk", key.clone()),
        ("jku", json!("https://evil.example/keys")),
        ("x5u", json!("https://evil.example/x")),
        ("x5c", json!(["MIIB"])),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("crit", json!(["b64"])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
        ("cty", json!("JWT")),
        ("kid", json!("../../../../dev/null")),
        ("kid", json!("ed' OR '1'='1")),
        ("kid", json!("ed\u{0}")),
        ("kid", json!("")),
        ("kid", json!(null)),
        ("kid", json!(1)),
        ("kid", json!("ED")),
        ("kid", json!("ed ")),
        ("kid", json!("k".repeat(257))),
        ("kid", json!("unknown")),
        ("kid", json!("twice")),
        ("kid", json!("enc")),
        ("kid", json!("sign-only")),
        ("kid", json!("shared")),
        ("kid", json!("ec")),
        ("typ", json!("JWT")),
        ("typ", json!("jwt")),
        ("typ", json!("id_token+jwt")),
        ("typ", json!("")),
        ("typ", json!(null)),
        ("typ", json!("at+jwt ")),
        ("typ", json!("logout+jwt")),
        ("typ", json!(["at+jwt"])),
    ];
    let with = |(name, value): &(&str, Value)| {
        let mut changed = header();
        changed[*name] = value.clone();
        let token = issuer.sign(&changed.to_string(), &claims(now).to_string());
        (format!("header {name} = {value}"), token)
    };
    let mut cases: Vec<Case> = changes.iter().map(with).collect();
    cases.extend(incomplete_headers(issuer, now));
    cases
}

fn incomplete_headers(issuer: &Issuer, now: i64) -> Vec<Case> {
    let mut cases = Vec::new();
    for name in ["alg", "kid", "typ"] {
        let mut changed = header();
        changed.as_object_mut().unwrap().remove(name);
        let token = issuer.sign(&changed.to_string(), &claims(now).to_string());
        cases.push((format!("header without {name}"), token));
    }
    for doubled in [
        r#"{"alg":"EdDSA","alg":"EdDSA","kid":"ed","typ":"at+jwt"}"#,
        r#"{"alg":"EdDSA","kid":"other","kid":"ed","typ":"at+jwt"}"#,
        r#"["EdDSA","ed","at+jwt"]"#,
        r#"{"alg":"EdDSA","kid":"ed","typ":"at+jwt"} "x""#,
    ] {
        cases.push((
            format!("header {doubled}"),
            issuer.sign(doubled, &claims(now).to_string()),
        ));
    }
    cases
}

fn forms(issuer: &Issuer, now: i64) -> Vec<Case> {
    let good = issuer.token(&claims(now));
    let parts: Vec<&str> = good.split('.').collect();
    let [head, body, signature] = parts[..] else {
        panic!("three parts")
    };
    let text = claims(now).to_string();
    let doubled = text.replacen('{', r#"{"sub":"admin","#, 1);
    // the last character of 64 bytes has four bits that must be zero
    let sibling = match signature.as_bytes()[85] {
        last @ (b'A' | b'Q' | b'g') => char::from(last + 1),
        _ => 'x',
    };
    let long = {
        let mut claims = claims(now);
        claims["padding"] = json!("x".repeat(9 * 1024));
        issuer.token(&claims)
    };
    let deep = text.replacen(
        '{',
        &format!(r#"{{"deep":{}{},"#, "[".repeat(40), "]".repeat(40)),
        1,
    );
    [
        ("two parts", format!("{head}.{body}")),
        ("four parts", format!("{good}.{signature}")),
        (
            "five parts, as an encrypted one",
            format!("{head}.{body}.{signature}.{body}.{head}"),
        ),
        ("a dot before", format!(".{good}")),
        ("a dot after", format!("{good}.")),
        ("two dots", format!("{head}..{body}.{signature}")),
        ("only dots", "..".to_owned()),
        ("a blank after", format!("{good} ")),
        ("a blank before", format!(" {good}")),
        ("a blank inside", format!("{head}. {body}.{signature}")),
        ("padding", format!("{head}.{body}.{signature}==")),
        (
            "plain base64",
            format!("{head}.{body}.{}+/", &signature[..84]),
        ),
        (
            "bits that say nothing",
            format!("{head}.{body}.{}{sibling}", &signature[..85]),
        ),
        (
            "JSON serialisation",
            json!({"protected": head, "payload": body, "signature": signature}).to_string(),
        ),
        ("no header", format!(".{body}.{signature}")),
        ("no claims", format!("{head}..{signature}")),
        ("claims twice", issuer.sign(&header().to_string(), &doubled)),
        (
            "claims in a list",
            issuer.sign(&header().to_string(), &format!("[{text}]")),
        ),
        (
            "claims nested deeply",
            issuer.sign(&header().to_string(), &deep),
        ),
        (
            "a token in a token",
            issuer.sign(&header().to_string(), &good),
        ),
        ("9 KiB", long),
    ]
    .map(|(name, token)| (name.to_owned(), token))
    .to_vec()
}

fn signatures(issuer: &Issuer, now: i64) -> Vec<Case> {
    let good = issuer.token(&claims(now));
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let mut other = claims(now);
    other["jti"] = json!("2");
    let other = issuer.token(&other);
    let (_, foreign) = other.rsplit_once('.').unwrap();
    let stranger = Issuer::new().token(&claims(now));
    let ec = issuer.es256(&claims(now).to_string());
    let (ec_signed, ec_signature) = ec.rsplit_once('.').unwrap();
    let mut cases = vec![
        ("no signature".to_owned(), format!("{signed}.")),
        (
            "another token's signature".to_owned(),
            format!("{signed}.{foreign}"),
        ),
        ("a stranger's signature".to_owned(), stranger),
        (
            "a short signature".to_owned(),
            format!("{signed}.{}", &signature[..84]),
        ),
        (
            "r = s = 0".to_owned(),
            format!("{ec_signed}.{}", encode([0; 64])),
        ),
        (
            "ECDSA cut".to_owned(),
            format!("{ec_signed}.{}", &ec_signature[..84]),
        ),
        (
            "ECDSA with a byte more".to_owned(),
            format!("{ec_signed}.{}", encode([1; 65])),
        ),
    ];
    // the public key as a shared secret, in every spelling an attacker has at hand
    let public = issuer.public();
    let jwk = issuer.keys()[0].to_string();
    let der = [
        &[0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0][..],
        public,
    ]
    .concat();
    let body = data_encoding::BASE64.encode(&der);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----");
    let secrets = [
        public.to_vec(),
        der,
        jwk.into_bytes(),
        pem.clone().into_bytes(),
        format!("{pem}\n").into_bytes(),
    ];
    for (index, secret) in secrets.iter().enumerate() {
        let header = json!({"typ": "at+jwt", "alg": "HS256", "kid": "ed"}).to_string();
        let signed = format!("{}.{}", encode(header), encode(claims(now).to_string()));
        let tag = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, secret),
            signed.as_bytes(),
        );
        cases.push((
            format!("HS256 with the public key, {index}"),
            format!("{signed}.{}", encode(tag)),
        ));
    }
    cases
}

fn times(issuer: &Issuer, now: i64) -> Vec<Case> {
    let mut cases = Vec::new();
    for name in ["exp", "nbf", "iat"] {
        for bad in [
            format!("\"{}\"", now + 60),
            "null".to_owned(),
            format!("{}.5", now),
            "1e9".to_owned(),
            "-1".to_owned(),
            "9223372036854775808".to_owned(),
            "NaN".to_owned(),
            "true".to_owned(),
            "[1]".to_owned(),
        ] {
            let mut text = claims(now);
            text[name] = json!("PLACE");
            let text = text.to_string().replace("\"PLACE\"", &bad);
            cases.push((
                format!("{name} = {bad}"),
                issuer.sign(&header().to_string(), &text),
            ));
        }
    }
    let changes = [
        ("exp", now - 31),
        ("exp", 0),
        ("nbf", now + 31),
        ("iat", now + 31),
        ("exp", now + 100_000),
        ("iat", 0),
    ];
    for (name, value) in changes {
        let mut claims = claims(now);
        claims[name] = json!(value);
        cases.push((
            format!("{name} off by {}", value - now),
            issuer.token(&claims),
        ));
    }
    cases
}

fn names(issuer: &Issuer, now: i64) -> Vec<Case> {
    let mut cases = Vec::new();
    for name in ["iss", "aud", "exp", "iat", "sub", "client_id", "jti"] {
        let mut claims = claims(now);
        claims.as_object_mut().unwrap().remove(name);
        cases.push((format!("without {name}"), issuer.token(&claims)));
    }
    let many: Vec<String> = (0..17).map(|_| AUDIENCE.to_owned()).collect();
    let changes = [
        ("iss", json!(ISSUER.trim_end_matches('/'))),
        ("iss", json!("https://LOGIN.crm.example/")),
        ("iss", json!([ISSUER])),
        ("iss", json!("https://evil.example/")),
        ("iss", json!("")),
        ("aud", json!("")),
        ("aud", json!([])),
        ("aud", json!("km")),
        ("aud", json!("kms2")),
        ("aud", json!("KMS")),
        ("aud", json!(["other"])),
        ("aud", json!([["kms"]])),
        ("aud", json!(["kms", 1])),
        ("aud", json!(many)),
        ("aud", json!({"kms": true})),
        ("aud", json!(null)),
        ("aud", json!("*")),
        ("sub", json!("admin")),
        ("sub", json!("CRM-web")),
        ("sub", json!("crm-web ")),
        ("sub", json!(["crm-web"])),
        ("scope", json!("openid")),
        ("scope", json!("kms.used")),
        ("scope", json!(["kms.use"])),
        ("scope", json!("")),
        ("tenant", json!("other")),
        ("tenant", json!(["acme"])),
        ("tenant", json!(null)),
        ("cnf", json!({"x5t#S256": encode([7; 32])})),
        ("cnf", json!({})),
        ("cnf", json!({"jkt": encode([7; 32])})),
        ("cnf", json!(null)),
        ("cnf", json!({"x5t#S256": "short"})),
        ("cnf", json!("x")),
    ];
    for (name, value) in changes {
        let mut claims = claims(now);
        claims[name] = value.clone();
        cases.push((format!("{name} = {value}"), issuer.token(&claims)));
    }
    cases
}
