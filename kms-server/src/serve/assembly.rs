//! The parts of a daemon in the order in which they need one another.

use super::Start;
use super::home::Home;
use crate::anchor::Anchors;
use crate::audit_log::intake::Intake;
use crate::audit_log::{AuditLog, OpenError, Opened, Options};
use crate::call::{Parts, Service, SystemFacts};
use crate::config::{ClientCertificate, Config, KeyDurability};
use crate::forward::Destination;
use crate::grpc::Limits;
use crate::identity::{self, Files, Identity};
use crate::live::gate::{Gate, GateParts};
use crate::policies::in_force::judge;
use crate::seal::Keyring;
use crate::store::sled::SledStore;
use crate::system::directory;
use crate::system::failure::{Failure, FailureKind};
use crate::system::lock::DirectoryLock;
use crate::system::notice::Notices;
use crate::system::notice::webhook::Webhook;
use kms_core::audit::leaf::SystemEvent;
use kms_core::cipher::self_test;
use std::fmt::Display;
use std::sync::Arc;

/// A daemon before it serves.
pub(super) struct Assembled {
    pub lock: DirectoryLock,
    pub service: Arc<Service>,
    pub gate: Arc<Gate>,
    pub audit: AuditLog,
    pub identity: Arc<Identity>,
    pub home: Home,
}

pub(super) fn other(what: &str, error: &dyn Display) -> Failure {
    Failure::new(FailureKind::Other, format!("{what}: {error}"))
}

pub(super) fn assemble(start: &Start) -> Result<Assembled, Failure> {
    let config = &start.config;
    let failed = self_test::run().err();
    if let Some(failed) = &failed {
        tracing::error!(%failed, "a self test failed: this daemon only reports");
    }
    let data = &config.data;
    directory::check_private(&data.directory)?;
    let lock = DirectoryLock::take(&data.directory)?;
    let keyring = Keyring::open(&data.keyring())?;
    let (audit, opened) = open_log(start)?;
    let store = SledStore::open(&data.store(), Arc::clone(&start.clock))
        .map_err(|error| error.failure(&data.store()))?;
    let identity = Arc::new(load_identity(start)?);
    let home = Home::new().map_err(|error| other("a thread cannot be had", &error))?;
    let gate = Arc::new(Gate::new(GateParts {
        keyring: Arc::new(keyring),
        fingerprint: config.seal.instance_fingerprint,
        store: Arc::new(store),
        audit: audit.clone(),
        clock: Arc::clone(&start.clock),
        entropy: Arc::clone(&start.entropy),
        anchors: Arc::new(load_anchors(start)?),
        cache_bytes: config.cache.shred_secret_bytes,
        home: home.handle(),
    }));
    let service = Service::new(Parts {
        identity: Arc::clone(&identity),
        gate: Arc::clone(&gate),
        audit: audit.clone(),
        policy_files: policy_files(config)?,
        clock: Arc::clone(&start.clock),
        entropy: Arc::clone(&start.entropy),
        facts: SystemFacts {
            dev_mode: config.dev_mode,
            unseals_itself: config.seal.passphrase_file.is_some(),
            started_at: start.clock.now(),
            data: data.directory.clone(),
            key_durability: durability(config),
            totp_steps_back: config.operators.totp_steps_back,
            anonymise_after_months: config.audit.anonymise_after_months,
            anonymisation_hold: config.audit.anonymisation_hold.clone(),
            failed: failed.map(|failed| failed.to_string()),
        },
        rules: config.approvals.clone(),
        notices: notices(start)?,
        services: config.services.clone(),
        forwards: forwards(start)?,
        intake: Intake::open(&data.intake(), &gate.keyring().publics().instance),
    });
    let service = service.map_err(|reason| other("the service cannot start", &reason))?;
    tell_repairs(&service, &opened);
    Ok(Assembled {
        lock,
        service: Arc::new(service),
        gate,
        audit,
        identity,
        home,
    })
}

/// What stands for the policies of the configured directory, which must be fit to be put into force.
fn policy_files(config: &Config) -> Result<Option<String>, Failure> {
    let Some(directory) = &config.policies else {
        return Ok(None);
    };
    let unusable = |problem: String| Failure::new(FailureKind::Configuration, problem);
    let texts = kms_policies::read(&[directory]).map_err(|error| unusable(error.to_string()))?;
    judge(&texts).map_err(|error| unusable(format!("{}/{error}", directory.display())))?;
    Ok(Some(kms_policies::fingerprint(&texts)))
}

/// Receivers of the log that can be used as they are configured; whether they answer shows later.
fn forwards(start: &Start) -> Result<Vec<Destination>, Failure> {
    let all = start.config.audit.forwards.iter();
    all.map(|config| {
        Destination::new(config, &start.clock).map_err(|problem| {
            let problem = format!("audit.forward {:?}: {problem}", config.name);
            Failure::new(FailureKind::Configuration, problem)
        })
    })
    .collect()
}

fn open_log(start: &Start) -> Result<(AuditLog, Opened), Failure> {
    let dir = start.config.data.audit();
    directory::create_private(&dir)?;
    let origin = format!("{}/1", start.config.audit.name);
    let options = Options {
        segment_bytes: start.config.audit.segment_bytes,
        reserve_bytes: start.config.audit.reserve_bytes,
        tree: start.config.audit.tree,
    };
    AuditLog::open(&dir, &origin, options, Arc::clone(&start.clock)).map_err(|error| match &error {
        OpenError::Io { path, source } => Failure::io(path, source),
        _ => Failure::new(FailureKind::Corrupted, error.to_string()),
    })
}

fn tell_repairs(service: &Service, opened: &Opened) {
    if opened.cut_bytes > 0 {
        let text = format!("cut {} bytes of a torn tail", opened.cut_bytes);
        service.record(SystemEvent::Repaired, &text);
    }
    for damage in &opened.damaged {
        let name = damage.path.file_name().unwrap_or_default().display();
        let text = format!(
            "{name}: bytes {} to {} are unreadable",
            damage.from, damage.to
        );
        tracing::error!("{text}");
        service.record(SystemEvent::Repaired, &text);
    }
}

fn load_identity(start: &Start) -> Result<Identity, Failure> {
    let tls = &start.config.tls;
    let files = Files {
        certificate: tls.certificate.clone(),
        key: tls.key.clone(),
        client_ca: tls.client_ca.clone(),
        crl: tls.crl.clone(),
    };
    let demand = match start.config.server.client_certificate {
        ClientCertificate::Required => identity::ClientCertificate::Required,
        ClientCertificate::Optional => identity::ClientCertificate::Optional,
    };
    let settings = identity::Settings {
        principals: start.config.principals.clone(),
        issuers: start.config.issuers.clone(),
        trust: start.config.trust.clone(),
    };
    Identity::load(files, demand, settings, Arc::clone(&start.clock))
        .map_err(|error| Failure::new(FailureKind::Configuration, error.to_string()))
}

fn load_anchors(start: &Start) -> Result<Anchors, Failure> {
    let config = &start.config;
    let (settings, needed) = (&config.audit.witnesses, config.audit.min_anchors);
    let anchors = Anchors::new(
        settings,
        needed,
        &config.data.audit(),
        Arc::clone(&start.clock),
    );
    anchors.map_err(|error| {
        Failure::new(
            FailureKind::Configuration,
            format!("audit.witnesses: {error}"),
        )
    })
}

/// How people are told; a webhook whose files cannot be used stops the start.
fn notices(start: &Start) -> Result<Notices, Failure> {
    let settings = &start.config.notices;
    let webhook = settings.webhook.as_ref();
    let webhook = webhook.map(|webhook| Webhook::new(webhook, &start.clock));
    let unusable = |problem| {
        Failure::new(
            FailureKind::Configuration,
            format!("notices.webhook: {problem}"),
        )
    };
    let webhook = webhook.transpose().map_err(unusable)?;
    Ok(Notices::new(settings.command.clone(), webhook))
}

fn durability(config: &Config) -> String {
    match config.key_durability {
        KeyDurability::Local => "local".to_owned(),
    }
}

pub(super) fn limits(config: &Config) -> Limits {
    let given = &config.server.limits;
    Limits {
        connections: given.connections,
        connections_per_address: given.connections_per_address,
        streams_per_connection: given.streams_per_connection,
        header_bytes: given.header_bytes,
        message_bytes: given.message_bytes,
        in_flight: given.in_flight,
        deadline_default: given.deadline_default,
        deadline_max: given.deadline_max,
        idle: given.idle,
        keep_alive: given.keep_alive,
        handshake_timeout: given.handshake_timeout,
        runtimes: given.runtimes,
        ..Limits::default()
    }
}
