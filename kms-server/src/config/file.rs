//! The file's own shape, key by key, and its way into [`Config`].

mod approvals;
mod audit;
mod forwards;
mod issuers;
mod services;

use super::bounds::{Places, Problem, duration, number, required, word};
use super::issuer::Issuer;
use super::trust::{TrustSettings, authorities};
use super::{
    Cache, ClientCertificate, Clock, Config, Data, Format, KeyDurability, Level, Limits, Log,
    Operators, Seal, Server, SynchronisedProbe, Tls,
};
use approvals::{ApprovalsTable, NoticesTable};
use audit::AuditTable;
pub(super) use issuers::{IssuerTable, issuers};
use kms_core::cipher::signature::Fingerprint;
use kms_core::name::PrincipalName;
use kms_core::policy::role::{Role, RoleTable, Roles};
use serde::Deserialize;
use services::ServicesTable;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::Duration;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

macro_rules! tables {
    ($($table:ident { $($key:ident: $kind:ty),* $(,)? })+) => {$(
        #[derive(Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct $table { $($key: Option<$kind>),* }
    )+};
}

tables! {
    File {
        key_durability: String, dev_mode: bool, server: ServerTable, tls: TlsTable, data: DataTable,
        audit: AuditTable, seal: SealTable, clock: ClockTable, cache: CacheTable,
        principals: BTreeMap<String, Vec<String>>, issuers: Vec<IssuerTable>,
        operators: OperatorsTable, policies: PoliciesTable, approvals: ApprovalsTable,
        notices: NoticesTable, log: LogTable,
        services: ServicesTable,
    }
    ServerTable {
        listen: String, client_certificate: String, reflection: bool, web_origins: Vec<String>,
        limits: LimitsTable,
    }
    LimitsTable {
        connections: u64, connections_per_address: u64, streams_per_connection: u64,
        header_bytes: u64, message_bytes: u64, in_flight: u64, deadline_default: String,
        deadline_max: String, idle: String, keep_alive: String, handshake_timeout: String,
        runtimes: u64,
    }
    TlsTable { certificate: String, key: String, client_ca: String, crl: String }
    DataTable { directory: String }
    SealTable { passphrase_file: String, instance_fingerprint: String }
    ClockTable { synchronised_file: String, synchronised_command: Vec<String> }
    CacheTable { shred_secret_bytes: u64 }
    OperatorsTable { totp_steps_back: u64 }
    PoliciesTable { directory: String }
    LogTable { level: String, format: String }
}

/// Parses the text; `directory` is where relative paths start.
pub(super) fn parse(
    text: &str,
    directory: &Path,
    credentials: Option<&Path>,
) -> Result<Config, Problem> {
    let file = read(text)?;
    let places = Places {
        directory,
        credentials,
    };
    let key_durability = required(
        "key_durability",
        file.key_durability
            .as_deref()
            .map(|text| {
                let words = [("local", KeyDurability::Local)];
                word("key_durability", Some(text), &words, KeyDurability::Local)
            })
            .transpose()?,
    )?;
    let issuers = issuers(file.issuers.unwrap_or_default(), places)?;
    let config = Config {
        trust: trust(text, places, &issuers)?,
        server: server(file.server.unwrap_or_default())?,
        tls: tls(&file.tls.unwrap_or_default(), places)?,
        data: Data {
            directory: places.required(
                "data.directory",
                file.data.unwrap_or_default().directory.as_deref(),
            )?,
        },
        audit: audit::section(file.audit.unwrap_or_default(), places)?,
        seal: seal(&file.seal.unwrap_or_default(), places)?,
        clock: clock(file.clock.unwrap_or_default(), places)?,
        cache: Cache {
            shred_secret_bytes: number(
                "cache.shred_secret_bytes",
                file.cache.unwrap_or_default().shred_secret_bytes,
                64 * MIB,
                MIB..=64 * GIB,
            )?,
        },
        operators: operators(&file.operators.unwrap_or_default(), file.dev_mode)?,
        principals: principals(file.principals.unwrap_or_default())?,
        approvals: approvals::rules(
            &file.approvals.unwrap_or_default(),
            file.dev_mode.unwrap_or(false),
            file.notices.as_ref().is_some_and(NoticesTable::tells),
        )?,
        notices: approvals::notices(file.notices.unwrap_or_default(), places)?,
        issuers,
        policies: policies(file.policies, places)?,
        services: services::services(file.services)?,
        key_durability,
        dev_mode: file.dev_mode.unwrap_or(false),
        log: log(&file.log.unwrap_or_default())?,
    };
    services::check(&config)?;
    Ok(config)
}

/// What people approve of the file, as it stands there.
fn trust(text: &str, places: Places<'_>, issuers: &[Issuer]) -> Result<TrustSettings, Problem> {
    let read = |problem: &dyn std::fmt::Display| Problem::new("", problem.to_string());
    let mut table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| read(&error))?;
    table.retain(|key, _| matches!(key, "dev_mode" | "principals" | "issuers"));
    let value = serde_json::to_value(table).map_err(|error| read(&error))?;
    let known = |issuer: &Issuer| Some((issuer.name.clone(), authorities(issuer)?));
    Ok(TrustSettings {
        tables: serde_json::from_value(value).map_err(|error| read(&error))?,
        issuer_authorities: issuers.iter().filter_map(known).collect(),
        directory: places.directory.to_owned(),
        credentials: places.credentials.map(Path::to_owned),
    })
}

fn read(text: &str) -> Result<File, Problem> {
    let syntax = |error: &toml::de::Error| {
        let line = error.span().map_or(0, |span| {
            text.bytes()
                .take(span.start)
                .filter(|byte| *byte == b'\n')
                .count()
        });
        let message = error.message().replace('\n', " ");
        format!("{message} (line {})", line + 1)
    };
    let deserializer =
        toml::Deserializer::parse(text).map_err(|error| Problem::new("", syntax(&error)))?;
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let key = error.path().to_string();
        let key = if key == "." { "" } else { &key };
        Problem::new(key, syntax(error.inner()))
    })
}

fn server(table: ServerTable) -> Result<Server, Problem> {
    let listen = required("server.listen", table.listen)?;
    let listen = listen.parse().map_err(|_| {
        let problem = format!("is {listen:?}, must be ADDRESS:PORT, as \"127.0.0.1:7400\"");
        Problem::new("server.listen", problem)
    })?;
    let certificate = [
        ("required", ClientCertificate::Required),
        ("optional", ClientCertificate::Optional),
    ];
    let web_origins = table.web_origins.unwrap_or_default();
    if let Some(origin) = web_origins.iter().find(|origin| !is_origin(origin)) {
        let problem = format!("holds {origin:?}, must be origins, as \"https://crm.example\"");
        return Err(Problem::new("server.web_origins", problem));
    }
    Ok(Server {
        listen,
        client_certificate: word(
            "server.client_certificate",
            table.client_certificate.as_deref(),
            &certificate,
            ClientCertificate::Required,
        )?,
        reflection: table.reflection.unwrap_or(false),
        web_origins,
        limits: limits(&table.limits.unwrap_or_default())?,
    })
}

/// `scheme://host[:port]` and nothing else, as browsers send it (RFC 6454).
fn is_origin(text: &str) -> bool {
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| {
        !host.is_empty()
            && host.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-:[]".contains(&byte)
            })
    })
}

fn limits(table: &LimitsTable) -> Result<Limits, Problem> {
    const SECOND: Duration = Duration::from_secs(1);
    const HOUR: Duration = Duration::from_hours(1);
    let key = |name: &str| format!("server.limits.{name}");
    let count = |name: &str, value, default, range| number(&key(name), value, default, range);
    let time = |name: &str, value: &Option<String>, default, range| {
        duration(&key(name), value.as_deref(), default, range)
    };
    let connections: u64 = count("connections", table.connections, 10_000, 1..=100_000)?;
    let deadline_max = time(
        "deadline_max",
        &table.deadline_max,
        SECOND * 60,
        SECOND..=HOUR,
    )?;
    let runtimes: usize = number(&key("runtimes"), table.runtimes, 0, 0..=256)?;
    let cores = available_parallelism().map_or(1, std::num::NonZero::get);
    Ok(Limits {
        connections: usize::try_from(connections).unwrap_or(usize::MAX),
        connections_per_address: number(
            &key("connections_per_address"),
            table.connections_per_address,
            connections.min(1_024),
            1..=connections,
        )?,
        streams_per_connection: number(
            &key("streams_per_connection"),
            table.streams_per_connection,
            1_024,
            1..=10_000,
        )?,
        header_bytes: number(
            &key("header_bytes"),
            table.header_bytes,
            16 * 1024,
            1024..=64 * 1024,
        )?,
        message_bytes: number(
            &key("message_bytes"),
            table.message_bytes,
            4 * MIB,
            128 * 1024..=4 * MIB,
        )?,
        in_flight: number(&key("in_flight"), table.in_flight, 16_384, 1..=1_000_000)?,
        deadline_default: time(
            "deadline_default",
            &table.deadline_default,
            deadline_max.min(SECOND * 10),
            SECOND / 10..=deadline_max,
        )?,
        deadline_max,
        idle: time("idle", &table.idle, SECOND * 300, SECOND * 10..=HOUR * 24)?,
        keep_alive: time("keep_alive", &table.keep_alive, SECOND * 30, SECOND..=HOUR)?,
        handshake_timeout: time(
            "handshake_timeout",
            &table.handshake_timeout,
            SECOND * 5,
            SECOND / 10..=SECOND * 60,
        )?,
        runtimes: if runtimes == 0 { cores } else { runtimes },
    })
}

fn tls(table: &TlsTable, places: Places<'_>) -> Result<Tls, Problem> {
    Ok(Tls {
        certificate: places.required("tls.certificate", table.certificate.as_deref())?,
        key: places.required("tls.key", table.key.as_deref())?,
        client_ca: places.required("tls.client_ca", table.client_ca.as_deref())?,
        crl: places.optional("tls.crl", table.crl.as_deref())?,
    })
}

fn seal(table: &SealTable, places: Places<'_>) -> Result<Seal, Problem> {
    let key = "seal.instance_fingerprint";
    let fingerprint = table.instance_fingerprint.as_deref().map(|text| {
        let problem = format!("is {text:?}, must be sha256: and 64 hex digits");
        Fingerprint::parse(text).ok_or_else(|| Problem::new(key, problem))
    });
    Ok(Seal {
        passphrase_file: places
            .optional("seal.passphrase_file", table.passphrase_file.as_deref())?,
        instance_fingerprint: fingerprint.transpose()?,
    })
}

/// A section without its directory is half a configuration.
fn policies(table: Option<PoliciesTable>, places: Places<'_>) -> Result<Option<PathBuf>, Problem> {
    let required =
        |table: PoliciesTable| places.required("policies.directory", table.directory.as_deref());
    table.map(required).transpose()
}

fn clock(table: ClockTable, places: Places<'_>) -> Result<Clock, Problem> {
    let file = places.optional(
        "clock.synchronised_file",
        table.synchronised_file.as_deref(),
    )?;
    let key = "clock.synchronised_command";
    let synchronised = match (file, table.synchronised_command) {
        (Some(_), Some(_)) => {
            let problem = "stands beside clock.synchronised_file, must be one of the two";
            return Err(Problem::new(key, problem));
        }
        (_, Some(command)) if !command.first().is_some_and(|it| it.starts_with('/')) => {
            let problem = "must begin with the absolute path of a program";
            return Err(Problem::new(key, problem));
        }
        (_, Some(command)) => Some(SynchronisedProbe::Command(command)),
        (file, None) => file.map(SynchronisedProbe::File),
    };
    Ok(Clock { synchronised })
}

fn operators(table: &OperatorsTable, dev_mode: Option<bool>) -> Result<Operators, Problem> {
    /// A week.
    const MOST: u64 = 7 * 24 * 60 * 2;
    let key = "operators.totp_steps_back";
    let steps = number(key, table.totp_steps_back, 1, 1..=MOST)?;
    if steps > 1 && dev_mode != Some(true) {
        let problem = "must be 1 but where dev_mode is true";
        return Err(Problem::new(key, problem));
    }
    Ok(Operators {
        totp_steps_back: steps,
    })
}

pub(super) fn principals(table: BTreeMap<String, Vec<String>>) -> Result<RoleTable, Problem> {
    let known = [
        ("service", Role::Service),
        ("operator", Role::OperatorCertificate),
    ];
    let mut roles = BTreeMap::new();
    for (name, words) in table {
        let key = format!("principals.{name:?}");
        let principal =
            PrincipalName::parse(&name).map_err(|error| Problem::new(&key, error.to_string()))?;
        let has = words
            .iter()
            .map(|text| word(&key, Some(text), &known, Role::Service))
            .collect::<Result<Vec<_>, _>>()?;
        if has.is_empty() {
            return Err(Problem::new(&key, "is empty, must name a role"));
        }
        let has = Roles::of(&has);
        if has == Roles::of(&[Role::Service, Role::OperatorCertificate]) {
            let problem = "must be one of the two: a service's certificate lets no person in";
            return Err(Problem::new(&key, problem));
        }
        roles.insert(principal, has);
    }
    Ok(RoleTable { roles })
}

fn log(table: &LogTable) -> Result<Log, Problem> {
    let levels = [
        ("error", Level::Error),
        ("warn", Level::Warn),
        ("info", Level::Info),
        ("debug", Level::Debug),
        ("trace", Level::Trace),
    ];
    let formats = [("text", Format::Text), ("json", Format::Json)];
    Ok(Log {
        level: word("log.level", table.level.as_deref(), &levels, Level::Info)?,
        format: word(
            "log.format",
            table.format.as_deref(),
            &formats,
            Format::Text,
        )?,
    })
}

#[cfg(test)]
mod tests;
