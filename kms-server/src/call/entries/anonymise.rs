//! AnonymiseMonth: an operator's word that a month's personal values are needed no longer.

use crate::call::operation::{At, Marked, Operation, Prepared, Refused, Scene};
use crate::call::render::{self, Renderer};
use kms_core::audit::leaf::Month;
use kms_core::engine::anonymise::anonymise;
use kms_core::engine::approval::statement::etag;
use kms_core::engine::{Decision, Refusal, View};
use kms_core::policy::{Action, Authorised, act};
use kms_core::time::Timestamp;
use kms_proto::v1;

/// Destroys a month's audit key.
pub(in crate::call) struct Anonymise;

impl Operation for Anonymise {
    type Message = v1::AnonymiseMonthRequest;
    type Input<'m> = (Authorised<act::AnonymiseMonth>, Month);
    type Reply = Timestamp;
    type Answer = v1::AnonymiseMonthResponse;
    const ACTION: Action = Action::AnonymiseMonth;

    fn prepare<'m>(
        message: &'m Self::Message,
        at: &At<'_>,
    ) -> Result<Prepared<Self::Input<'m>>, Refused> {
        let authorised = at.authorise(&[])?;
        let month = Month::parse(&message.month);
        let month = month.ok_or(Refusal::field("month", "YYYY-MM"))?;
        let mut prepared = Prepared::new(None, (authorised, month));
        prepared.detail.note = month.to_string().into();
        Ok(prepared)
    }

    fn marked((_, month): &Self::Input<'_>, view: &View<'_>) -> Option<Marked> {
        let found = view.snapshot.months.get(*month)?;
        let revision = found.revision.0.to_be_bytes();
        Some(Marked {
            action: Self::ACTION,
            etag: etag(&[b"month", &month.number().to_be_bytes(), &revision]),
        })
    }

    async fn decide(
        (authorised, month): &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<Timestamp>, Refusal> {
        let held = scene.anonymisation_held;
        anonymise(&scene.view, &scene.moment, authorised, *month, held)
    }

    fn answer(_: &Self::Message, at: Timestamp, _: &Renderer<'_>) -> Self::Answer {
        v1::AnonymiseMonthResponse {
            anonymise_time: Some(render::timestamp(at)),
        }
    }
}
