//! One person asks to be forgotten: the operator destroys that subject's secret, and the row is gone
//! wherever copies of it lie. Everybody else stays.

use crate::fill::new_row;
use crate::pages::read_page;
use crate::run::Run;
use crate::table::subject;
use anyhow::{Context as _, Result, ensure};
use kms_client::ErrorKind;
use kms_client::proto::v1;
use kms_client::proto::v1::shred_service_client::ShredServiceClient;

/// Shreds one contact and proves what is gone and what is not.
pub(crate) async fn shred_one(run: &Run) -> Result<String> {
    let number = run.table.len() / 2;
    let contact = run.table.contact(number);
    read_page(run, &[number])
        .await
        .context("before the shredding")?;
    destroy(run, &contact).await?;

    let row = run.table.select(number);
    let opened = run.envelope.open(&run.service, row.stored(&contact)?).await;
    let error = opened.err().context("the shredded row still opens")?;
    ensure!(error.kind() == ErrorKind::Erased, "not erased but: {error}");
    let again = run.envelope.seal(&run.service, new_row(&contact)?).await;
    let error = again
        .err()
        .context("an import brought the shredded contact back")?;
    ensure!(error.kind() == ErrorKind::Erased, "not erased but: {error}");

    // the rows beside it, and those of the same account
    let neighbours: Vec<usize> = (number.saturating_sub(50)..number + 51)
        .filter(|other| *other != number && *other < run.table.len())
        .collect();
    read_page(run, &neighbours)
        .await
        .context("a neighbour was lost")?;
    Ok(contact.id)
}

async fn destroy(run: &Run, contact: &crate::person::Contact) -> Result<()> {
    let scope = subject(contact)?.in_class("customer")?.scope();
    let message = v1::DestroyShredSecretRequest {
        selector: Some(v1::ShredSecretSelector {
            by: Some(v1::shred_secret_selector::By::Scope(scope)),
        }),
        reason: "the person asked to be forgotten".into(),
        validate_only: false,
    };
    let destroyed = run.operator.once(message, |channel, request| async move {
        ShredServiceClient::new(channel)
            .destroy_shred_secret(request)
            .await
    });
    destroyed.await.context("the operator cannot shred")?;
    Ok(())
}
