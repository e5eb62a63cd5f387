use super::*;
use std::path::Path;

const ISSUER: &str = r#"
name = "login"
issuer = "https://login.crm.example/"
audience = "kms"
algorithms = ["ES256", "PS256"]
jwks_file = "jwks.json"
"#;

const GRANT: &str = r#"
[[grants]]
subject = "crm-web"
principal = "spiffe://crm.example/service/web"
roles = ["service"]
"#;

fn read(texts: &[&str]) -> Result<Vec<Issuer>, Problem> {
    let tables = texts.iter().map(|text| toml::from_str(text).unwrap());
    let places = Places {
        directory: Path::new("/srv/kms"),
        credentials: None,
    };
    issuers(tables.collect(), places)
}

fn with(from: &str, to: &str) -> Result<Vec<Issuer>, Problem> {
    let text = format!("{ISSUER}{GRANT}");
    assert!(text.contains(from), "{from}");
    read(&[&text.replacen(from, to, 1)])
}

#[test]
fn a_whole_issuer_is_taken_with_safe_defaults() {
    let found = with("", "").unwrap();
    let [issuer] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(issuer.binding, Binding::Required);
    assert_eq!(issuer.clock_skew, Duration::from_secs(30));
    assert_eq!(issuer.algorithms, [Algorithm::Es256, Algorithm::Ps256]);
    let file = KeySource::File("/srv/kms/jwks.json".into());
    assert_eq!(issuer.keys, file);
}

#[test]
fn a_half_configured_issuer_stops_the_start() {
    for (from, to, told) in [
        ("name =", "#", "issuers.name"),
        ("\"login\"", "\"Login\"", "issuers.name"),
        ("\"https://login.crm.example/\"", "\"\"", "login.issuer"),
        ("\"kms\"", "\"\"", "login.audience"),
        ("[\"ES256\", \"PS256\"]", "[]", "login.algorithms"),
        ("\"PS256\"", "\"HS256\"", "login.algorithms"),
        ("\"PS256\"", "\"none\"", "login.algorithms"),
        ("jwks_file", "jwks_ca", "login.jwks_file"),
        ("jwks_file", "jwks_url", "login.jwks_ca"),
        (
            "jwks_file = \"jwks.json\"",
            "jwks_url = \"http://login.crm.example/jwks\"\njwks_ca = \"ca.pem\"",
            "login.jwks_url",
        ),
        (
            "jwks_file",
            "jwks_url = \"https://a/b\"\njwks_file",
            "login.jwks_file",
        ),
        (
            "jwks_file",
            "clock_skew = \"61s\"\njwks_file",
            "login.clock_skew",
        ),
        (
            "jwks_file",
            "binding = \"never\"\njwks_file",
            "login.binding",
        ),
        ("subject = \"crm-web\"", "", "login.grants[0]"),
        ("spiffe://crm", "spiffe://CRM", "grants[0].principal"),
        ("[\"service\"]", "[\"operator\"]", "grants[0].roles"),
        ("[\"service\"]", "[]", "grants[0].roles"),
    ] {
        let problem = match with(from, to) {
            Err(problem) => problem,
            Ok(_) => panic!("{to} was taken"),
        };
        assert!(problem.key.contains(told), "{to}: {problem:?}");
    }
    let alone = read(&[ISSUER]).unwrap_err();
    assert_eq!(alone.key, "issuers.login.grants");
    let whole = format!("{ISSUER}{GRANT}");
    assert!(
        read(&[&whole, &whole])
            .unwrap_err()
            .problem
            .contains("twice")
    );
}
