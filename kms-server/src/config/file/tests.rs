use super::*;

const LEAST: &str = r#"
key_durability = "local"
[server]
listen = "127.0.0.1:7400"
[tls]
certificate = "pki/server.pem"
key = "/etc/kms/server.key"
client_ca = "pki/ca.pem"
[data]
directory = "data"
"#;

fn parsed(text: &str) -> Result<Config, Problem> {
    parse(text, Path::new("/srv/kms"), Some(Path::new("/run/cred")))
}

fn with(more: &str) -> Result<Config, Problem> {
    parsed(&format!("{LEAST}{more}"))
}

fn problem(more: &str) -> (String, String) {
    let problem = with(more).unwrap_err();
    (problem.key, problem.problem)
}

#[test]
fn the_least_file_gets_the_documented_defaults() {
    let config = parsed(LEAST).unwrap();
    assert_eq!(
        config.tls.certificate,
        PathBuf::from("/srv/kms/pki/server.pem")
    );
    assert_eq!(config.tls.key, PathBuf::from("/etc/kms/server.key"));
    assert_eq!(config.data.directory, PathBuf::from("/srv/kms/data"));
    assert_eq!(
        config.server.client_certificate,
        ClientCertificate::Required
    );
    assert!(!config.server.reflection && !config.dev_mode);
    let limits = config.server.limits;
    assert_eq!(limits.message_bytes, 4 << 20);
    assert_eq!(limits.connections, 10_000);
    assert_eq!(limits.deadline_default, Duration::from_secs(10));
    assert!(limits.runtimes >= 1);
    assert_eq!(config.cache.shred_secret_bytes, 64 << 20);
    assert_eq!(config.audit.name, "kms");
    assert_eq!(config.clock.synchronised, None);
}

#[test]
fn unknown_keys_are_refused_by_name() {
    let (key, problem) = problem("[audit]\nsegment_byte = 1\n");
    assert_eq!(key, "audit.segment_byte");
    assert!(
        problem.contains("unknown field `segment_byte`"),
        "{problem}"
    );
    assert!(problem.contains("line 12"), "{problem}");
    assert!(!problem.contains('\n'));
    let top = parsed(&format!("colour = 1{LEAST}")).unwrap_err();
    assert!(
        top.problem.contains("unknown field `colour`"),
        "{}",
        top.problem
    );
}

/// What is added to the least file, the key that the error names, a part of the limit that it tells.
const BROKEN: &[(&str, &str, &str)] = &[
    (
        "[server.limits]\nconnections = 0",
        "server.limits.connections",
        "is 0, must be 1 to 100000",
    ),
    (
        "[server.limits]\nmessage_bytes = 4194305",
        "server.limits.message_bytes",
        "must be 131072 to 4194304",
    ),
    (
        "[server.limits]\nconnections = 5\nconnections_per_address = 6",
        "server.limits.connections_per_address",
        "must be 1 to 5",
    ),
    (
        "[server.limits]\nidle = \"1s\"",
        "server.limits.idle",
        "a duration of 10s to 86400s",
    ),
    (
        "[server.limits]\nidle = \"soon\"",
        "server.limits.idle",
        "is \"soon\", must be a duration",
    ),
    (
        "[server.limits]\nidle = \"-20s\"",
        "server.limits.idle",
        "must be a duration",
    ),
    (
        "[server.limits]\ndeadline_max = \"2s\"\ndeadline_default = \"3s\"",
        "server.limits.deadline_default",
        "to 2s",
    ),
    (
        "[cache]\nshred_secret_bytes = 1",
        "cache.shred_secret_bytes",
        "must be 1048576 to",
    ),
    (
        "[audit]\nname = \"Kms\"",
        "audit.name",
        "1 to 64 of a-z, 0-9, '.' and '-'",
    ),
    (
        "[log]\nlevel = \"loud\"",
        "log.level",
        "must be \"error\" or \"warn\"",
    ),
    (
        "[seal]\ninstance_fingerprint = \"sha256:00\"",
        "seal.instance_fingerprint",
        "64 hex digits",
    ),
    (
        "[clock]\nsynchronised_command = [\"chronyc\"]",
        "clock.synchronised_command",
        "absolute path",
    ),
    (
        "[clock]\nsynchronised_command = [\"/bin/true\"]\nsynchronised_file = \"/run/x\"",
        "clock.synchronised_command",
        "one of the two",
    ),
    (
        "[principals]\n\"spiffe://a\" = [\"root\"]",
        "principals.\"spiffe://a\"",
        "must be \"service\" or",
    ),
    (
        "[principals]\n\"spiffe://a\" = []",
        "principals.\"spiffe://a\"",
        "must name a role",
    ),
    (
        "[principals]\n\"a b\" = [\"service\"]",
        "principals.\"a b\"",
        "printable ASCII",
    ),
];

#[test]
fn errors_name_key_and_limit() {
    for (more, key, limit) in BROKEN {
        let (found, problem) = problem(more);
        assert_eq!(found, *key, "{more}");
        assert!(problem.contains(limit), "{more}: {problem}");
    }
}

#[test]
fn wrong_types_name_the_whole_key() {
    let (key, told) = problem("[server.limits]\nconnections = \"many\"\n");
    assert_eq!(key, "server.limits.connections");
    assert!(told.contains("invalid type"), "{told}");
    let (key, _) = problem("[server.limits]\nconnections = -1\n");
    assert_eq!(key, "server.limits.connections");
}

#[test]
fn what_must_be_given_is_asked_for() {
    for key in [
        "key_durability",
        "listen",
        "certificate",
        "key =",
        "client_ca",
        "directory",
    ] {
        let without: String = LEAST
            .lines()
            .filter(|line| !line.starts_with(key))
            .map(|line| format!("{line}\n"))
            .collect();
        let problem = parsed(&without).unwrap_err();
        assert_eq!(problem.problem, "is missing", "{key}");
        assert!(problem.key.ends_with(key.trim_end_matches(" =")), "{key}");
    }
}

#[test]
fn secrets_come_by_file_or_credential_only() {
    let config = with("[seal]\npassphrase_file = \"${CREDENTIALS_DIRECTORY}/unseal\"\n").unwrap();
    assert_eq!(
        config.seal.passphrase_file,
        Some(PathBuf::from("/run/cred/unseal"))
    );
    for bad in [
        "${HOME}/x",
        "x/${CREDENTIALS_DIRECTORY}/y",
        "${CREDENTIALS_DIRECTORY}/../x",
        "${CREDENTIALS_DIRECTORY}/",
        "",
    ] {
        let (key, _) = problem(&format!("[seal]\npassphrase_file = \"{bad}\"\n"));
        assert_eq!(key, "seal.passphrase_file", "{bad}");
    }
    assert!(with("[seal]\npassphrase = \"secret\"\n").is_err());
    let text = format!("{LEAST}[seal]\npassphrase_file = \"${{CREDENTIALS_DIRECTORY}}/unseal\"\n");
    let problem = parse(&text, Path::new("/srv/kms"), None).unwrap_err();
    assert!(problem.problem.contains("CREDENTIALS_DIRECTORY is not set"));
}

#[test]
fn principals_get_their_roles() {
    let config = with("[principals]\n\"spiffe://a/b\" = [\"operator\"]\n").unwrap();
    let name = PrincipalName::parse("spiffe://a/b").unwrap();
    assert_eq!(
        config.principals.roles.get(&name),
        Some(&Roles::of(&[Role::OperatorCertificate]))
    );
}

#[test]
fn origins_are_scheme_host_and_port() {
    for good in ["https://crm.example", "http://localhost:3000"] {
        assert!(is_origin(good), "{good}");
    }
    for bad in ["*", "crm.example", "https://", "https://a/b", "HTTPS://A"] {
        assert!(!is_origin(bad), "{bad}");
    }
}

#[test]
fn policies_are_a_directory_or_not_there_at_all() {
    assert_eq!(parsed(LEAST).unwrap().policies, None);
    let config = with("[policies]\ndirectory = \"policies\"\n").unwrap();
    assert_eq!(config.policies, Some(PathBuf::from("/srv/kms/policies")));
    let (key, problem) = problem("[policies]\n");
    assert_eq!(key, "policies.directory");
    assert!(problem.contains("missing"), "{problem}");
}

#[test]
fn the_built_in_authority_stands_alone_and_where_callers_may_come_without_a_certificate() {
    const ON: &str = "[services]\ntrust_domain = \"crm.example\"\n";
    let optional = LEAST.replace("[tls]", "client_certificate = \"optional\"\n[tls]");
    let on = |more: &str| parsed(&format!("{optional}{ON}{more}"));
    let services = on("").unwrap().services.unwrap();
    assert_eq!(services.certificate_life, Duration::from_hours(7 * 24));
    assert_eq!(
        services.desk_certificate_life,
        Duration::from_hours(365 * 24)
    );
    assert!(parsed(&optional).unwrap().services.is_none());
    let refused = |config: Result<Config, Problem>| config.unwrap_err().key;
    assert_eq!(refused(with(ON)), "server.client_certificate");
    let crl = optional.replace("client_ca", "crl = \"pki/crl.pem\"\nclient_ca");
    assert_eq!(refused(parsed(&format!("{crl}{ON}"))), "tls.crl");
    for own in ["service/web", "desk/first", "service/a/b"] {
        let name = format!("spiffe://crm.example/{own}");
        let table = format!("[principals]\n{name:?} = [\"service\"]\n");
        assert_eq!(refused(on(&table)), format!("principals.{name:?}"));
    }
    on("[principals]\n\"spiffe://crm.example/other/web\" = [\"service\"]\n").unwrap();
    on("[principals]\n\"spiffe://crm.example.eu/service/web\" = [\"service\"]\n").unwrap();
    for (line, key) in [
        ("certificate_life = \"30m\"", "services.certificate_life"),
        ("certificate_life = \"2161h\"", "services.certificate_life"),
        (
            "desk_certificate_life = \"1h\"",
            "services.desk_certificate_life",
        ),
    ] {
        assert_eq!(refused(on(line)), key);
    }
    let nameless = format!("{optional}[services]\ncertificate_life = \"24h\"\n");
    assert_eq!(refused(parsed(&nameless)), "services.trust_domain");
    let upper = format!("{optional}[services]\ntrust_domain = \"CRM\"\n");
    assert_eq!(refused(parsed(&upper)), "services.trust_domain");
}

#[test]
fn receivers_of_the_log_are_one_thing_each() {
    use crate::config::forward::To;
    let receiver = |text: &str| format!("[[audit.forward]]\n{text}\n");
    let syslog = receiver("name = \"siem\"\nsyslog = \"siem.example\"\nca = \"siem.pem\"");
    let file = receiver("name = \"copy\"\nfile = \"copy.jsonl\"\nfrom_start = true");
    let config = with(&format!("{syslog}{file}")).unwrap();
    let [siem, copy] = &config.audit.forwards[..] else {
        panic!("two");
    };
    assert!(matches!(&siem.to, To::Syslog { ca, .. } if ca == Path::new("/srv/kms/siem.pem")));
    assert!(copy.from_start && !siem.from_start);
    for (text, key, words) in [
        (
            receiver("name = \"a\""),
            "audit.forward[0]",
            "one of syslog",
        ),
        (
            receiver("name = \"A\"\nfile = \"f\""),
            "audit.forward[0].name",
            "form",
        ),
        (receiver("file = \"f\""), "audit.forward[0].name", "missing"),
        (
            receiver("name = \"a\"\nsyslog = \"s\""),
            "audit.forward[0].ca",
            "missing",
        ),
        (
            receiver("name = \"a\"\nsyslog = \"s\"\nfile = \"f\"\nca = \"c\""),
            "audit.forward[0]",
            "one of syslog",
        ),
        (
            receiver("name = \"a\"\nhttps = \"http://s\"\nca = \"c\""),
            "audit.forward[0].https",
            "https://",
        ),
        (
            receiver("name = \"a\"\nfile = \"f\"\nca = \"c\""),
            "audit.forward[0].ca",
            "means nothing",
        ),
        (format!("{file}{file}"), "audit.forward", "name of two"),
    ] {
        let found = problem(&text);
        assert_eq!(found.0, key, "{text}: {found:?}");
        assert!(found.1.contains(words), "{text}: {found:?}");
    }
}
