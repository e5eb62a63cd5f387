//! ListDatasets and ListVersions: pages in the order of name and number.

use super::named;
use crate::call::operation::{At, Operation, Prepared, Refused, Scene};
use crate::call::page::{Page, bad_token};
use crate::call::parse;
use crate::call::render::Renderer;
use kms_core::audit::{Detail, Outcome};
use kms_core::engine::{Decision, Refusal};
use kms_core::name::{DatasetName, KeyId, VersionNumber};
use kms_core::policy::{Action, act};
use kms_proto::v1;

fn listed<R>(action: Action, dataset: Option<KeyId>, reply: R) -> Decision<R> {
    let mut detail = Detail::new(Outcome::Ok);
    detail.dataset = dataset;
    Decision::unchanged(action, detail, reply)
}

/// Lists datasets by name.
pub(in crate::call) struct Datasets;

impl Operation for Datasets {
    type Message = v1::ListDatasetsRequest;
    type Input<'m> = Page<DatasetName>;
    type Reply = (Vec<KeyId>, Option<String>);
    type Answer = v1::ListDatasetsResponse;
    const ACTION: Action = Action::ListDatasets;

    fn prepare<'m>(
        message: &'m Self::Message,
        at: &At<'_>,
    ) -> Result<Prepared<Self::Input<'m>>, Refused> {
        at.authorise::<act::ListDatasets>(&[])?;
        let asked = (&*message.page_token, message.page_size);
        let page = Page::of_names(&at.pager, asked, DatasetName::parse)?;
        Ok(Prepared::new(None, page))
    }

    async fn decide(
        input: &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<Self::Reply>, Refusal> {
        let rest = scene.view.snapshot.after(input.after.as_ref());
        let (page, more) = input.take(rest);
        let last = page.last().filter(|_| more);
        let last = last.map(|dataset| dataset.record.name.as_str().to_owned());
        let ids = page.iter().map(|dataset| dataset.record.key_id).collect();
        Ok(listed(Self::ACTION, None, (ids, last)))
    }

    fn answer(_: &Self::Message, (ids, last): Self::Reply, with: &Renderer<'_>) -> Self::Answer {
        v1::ListDatasetsResponse {
            datasets: ids.into_iter().filter_map(|id| with.dataset(id)).collect(),
            next_page_token: last
                .map(|name| with.pager.token(name.as_bytes()))
                .unwrap_or_default(),
        }
    }
}

/// Lists a dataset's versions by number.
pub(in crate::call) struct Versions;

/// Where a page of versions begins and what it holds.
pub(in crate::call) struct VersionPage {
    key_id: KeyId,
    after: u32,
    size: usize,
}

impl Operation for Versions {
    type Message = v1::ListVersionsRequest;
    type Input<'m> = VersionPage;
    type Reply = (KeyId, Vec<VersionNumber>, bool);
    type Answer = v1::ListVersionsResponse;
    const ACTION: Action = Action::ListVersions;

    fn prepare(message: &Self::Message, at: &At<'_>) -> Result<Prepared<VersionPage>, Refused> {
        let target = named(at, &message.parent, "parent")?;
        let refused = |refusal: Refusal| Refused::about(target.key_id(), refusal);
        let (dataset, _) = target
            .authorise::<act::ListVersions>(at, None, &[])
            .map_err(|reason| refused(reason.into()))?;
        let key_id = dataset.record.key_id;
        let position = at.pager.position(&message.page_token).map_err(refused)?;
        let after = match position.as_deref().map(|bytes| bytes.split_at_checked(16)) {
            None => 0,
            Some(Some((id, number))) if id == key_id.0 => {
                let number = number.try_into().map_err(|_| refused(bad_token()))?;
                u32::from_be_bytes(number)
            }
            Some(_) => return Err(refused(bad_token())),
        };
        let size = parse::page_size(message.page_size).map_err(refused)?;
        let page = VersionPage {
            key_id,
            after,
            size,
        };
        Ok(Prepared::new(Some(key_id), page))
    }

    async fn decide(
        input: &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<Self::Reply>, Refusal> {
        let dataset = scene.view.snapshot.by_id(input.key_id);
        let numbers = dataset
            .into_iter()
            .flat_map(|dataset| dataset.versions.keys());
        let mut rest = numbers.copied().filter(|number| number.get() > input.after);
        let page = rest.by_ref().take(input.size).collect();
        let more = rest.next().is_some();
        let reply = (input.key_id, page, more);
        Ok(listed(Self::ACTION, Some(input.key_id), reply))
    }

    fn answer(_: &Self::Message, reply: Self::Reply, with: &Renderer<'_>) -> Self::Answer {
        let (id, numbers, more) = reply;
        let last = numbers.last().filter(|_| more);
        let position = |number: &VersionNumber| [&id.0[..], &number.get().to_be_bytes()].concat();
        v1::ListVersionsResponse {
            next_page_token: last
                .map(|number| with.pager.token(&position(number)))
                .unwrap_or_default(),
            versions: numbers
                .into_iter()
                .filter_map(|n| with.version(id, n))
                .collect(),
        }
    }
}
