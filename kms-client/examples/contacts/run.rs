//! What all steps of the example share.

use crate::table::{COLUMNS, Table};
use anyhow::{Context as _, Result};
use kms_client::{Client, DatasetName, Profile, RowEnvelope};
use std::path::Path;
use std::time::Duration;

/// Making a thousand persons' secrets takes longer than opening a page.
const DEADLINE: Duration = Duration::from_secs(30);

/// The CRM service, its operator and its table.
pub(crate) struct Run {
    /// Encrypts and decrypts.
    pub(crate) service: Client,
    /// Rotates and shreds.
    pub(crate) operator: Client,
    pub(crate) dataset: DatasetName,
    pub(crate) envelope: RowEnvelope,
    pub(crate) table: Table,
    pub(crate) seed: u32,
    /// Calls at a time.
    pub(crate) in_flight: usize,
}

impl Run {
    pub(crate) async fn start(
        service: &Path,
        operator: &Path,
        rows: usize,
        seed: u32,
    ) -> Result<Self> {
        let dataset = DatasetName::parse("customers")?;
        let service = Client::connect(&Profile::load(service)?).await;
        let operator = Client::connect(&Profile::load(operator)?).await;
        Ok(Self {
            service: service.context("the service")?.with_deadline(DEADLINE),
            operator: operator.context("the operator")?.with_deadline(DEADLINE),
            envelope: RowEnvelope::new("contacts", dataset.clone(), &COLUMNS)?,
            dataset,
            table: Table::new(seed, rows),
            seed,
            in_flight: 4,
        })
    }
}
