//! `[services]` of the file.

use super::{Config, Problem, duration, required};
use crate::config::ClientCertificate;
use crate::config::services::Services;
use kms_core::name::{PrincipalName, TrustDomain};
use serde::Deserialize;
use std::time::Duration;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ServicesTable {
    trust_domain: Option<String>,
    certificate_life: Option<String>,
    desk_certificate_life: Option<String>,
}

pub(super) fn services(table: Option<ServicesTable>) -> Result<Option<Services>, Problem> {
    const HOUR: Duration = Duration::from_hours(1);
    const DAY: Duration = Duration::from_hours(24);
    let Some(table) = table else {
        return Ok(None);
    };
    let key = "services.trust_domain";
    let domain = required(key, table.trust_domain)?;
    let trust_domain =
        TrustDomain::parse(&domain).map_err(|error| Problem::new(key, error.to_string()))?;
    Ok(Some(Services {
        trust_domain,
        certificate_life: duration(
            "services.certificate_life",
            table.certificate_life.as_deref(),
            DAY * 7,
            HOUR..=DAY * 90,
        )?,
        desk_certificate_life: duration(
            "services.desk_certificate_life",
            table.desk_certificate_life.as_deref(),
            DAY * 365,
            DAY..=DAY * 825,
        )?,
    }))
}

/// What does not go together with the built-in authority: every setting here would be accepted and then not hold.
pub(super) fn check(config: &Config) -> Result<(), Problem> {
    let Some(services) = &config.services else {
        return Ok(());
    };
    if config.server.client_certificate == ClientCertificate::Required {
        let problem = "must be \"optional\" beside [services]: who enrols has no certificate yet";
        return Err(Problem::new("server.client_certificate", problem));
    }
    if config.tls.crl.is_some() {
        let problem = "must not stand beside [services]: `kms service revoke` says what is revoked";
        return Err(Problem::new("tls.crl", problem));
    }
    let is_own = |name: &PrincipalName| services.trust_domain.own(name).is_some();
    if let Some(name) = config.principals.roles.keys().find(|name| is_own(name)) {
        let key = format!("principals.{:?}", name.as_str());
        let problem = "is below the trust domain of [services], whose records say what it may";
        return Err(Problem::new(&key, problem));
    }
    Ok(())
}
