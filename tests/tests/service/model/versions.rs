//! What becomes of versions: disabled, enabled, destroyed after a small team's delay, restored.

use super::{DATASETS, Model, VersionModel, Waiting};
use kms_proto::v1::{
    DisableVersionRequest, EnableVersionRequest, RestoreVersionRequest,
    ScheduleVersionDestructionRequest, VersionState,
};
use kms_tests::caller::{approval, using};
use kms_tests::in_process::SMALL_TEAM_DELAY;
use rand::Rng as _;
use std::time::Instant;

impl Model {
    pub(super) async fn change_version(&mut self) {
        use VersionState::{Active, DecryptOnly, DestroyScheduled, Disabled};
        let dataset = self.random.random_range(0..2);
        let at = self.random.random_range(0..self.versions[dataset].len());
        let name = format!("datasets/{}/versions/{}", DATASETS[dataset], at + 1);
        let state = self.versions[dataset][at].state;
        let mut datasets = self.operator.datasets();
        let (done, next) = match self.random.random_range(0..4) {
            0 => {
                let answer = datasets
                    .disable_version(DisableVersionRequest {
                        name,
                        validate_only: false,
                    })
                    .await;
                (
                    self.note(answer).map(drop),
                    (state == DecryptOnly).then_some(Disabled),
                )
            }
            1 => {
                let answer = datasets
                    .enable_version(EnableVersionRequest {
                        name,
                        validate_only: false,
                    })
                    .await;
                (
                    self.note(answer).map(drop),
                    (state == Disabled).then_some(DecryptOnly),
                )
            }
            2 => match self.schedule(dataset, at, name).await {
                Some(done) => (done, None),
                None => return,
            },
            _ => {
                let answer = datasets
                    .restore_version(RestoreVersionRequest {
                        name,
                        validate_only: false,
                    })
                    .await;
                (
                    self.note(answer).map(drop),
                    (state == DestroyScheduled).then_some(Disabled),
                )
            }
        };
        match (done, next) {
            (Ok(()), Some(next)) => self.versions[dataset][at].state = next,
            // To ask for what is so already may be taken as done.
            (Ok(()), None) => assert_ne!(state, Active, "version {at} of {dataset}"),
            (Err(reason), None) => assert!(reason.starts_with("VERSION_"), "{reason}"),
            (Err(reason), Some(next)) => panic!("{state:?} to {next:?}: {reason}"),
        }
    }

    /// Asks for a destruction; `None`: it waits for an approval, and was remembered.
    async fn schedule(
        &mut self,
        dataset: usize,
        at: usize,
        name: String,
    ) -> Option<Result<(), String>> {
        use VersionState::{DecryptOnly, Disabled};
        let state = self.versions[dataset][at].state;
        let request = ScheduleVersionDestructionRequest {
            name,
            waiting_time: None,
            validate_only: false,
        };
        let mut datasets = self.operator.datasets();
        let answer = datasets.schedule_version_destruction(request).await;
        let pending = answer.as_ref().err().and_then(approval);
        let done = self.note(answer).map(drop);
        let Some(approval) = pending else {
            return Some(done);
        };
        assert!([DecryptOnly, Disabled].contains(&state));
        assert_eq!(done, Err("APPROVAL_REQUIRED".into()));
        self.waiting.push(Waiting {
            dataset,
            at,
            state,
            approval,
            since: Instant::now(),
        });
        None
    }

    /// A destruction whose delay is over is done, unless the version was changed since.
    pub(super) async fn destroy_what_waited(&mut self) {
        let over = |waiting: &Waiting| waiting.since.elapsed() > SMALL_TEAM_DELAY;
        let Some(place) = self.waiting.iter().position(over) else {
            return;
        };
        let waited = self.waiting.remove(place);
        let (dataset, at) = (waited.dataset, waited.at);
        let request = ScheduleVersionDestructionRequest {
            name: format!("datasets/{}/versions/{}", DATASETS[dataset], at + 1),
            waiting_time: None,
            validate_only: false,
        };
        let request = using(request, Some(&waited.approval));
        let answer = self
            .operator
            .datasets()
            .schedule_version_destruction(request)
            .await;
        let state = self.versions[dataset][at].state;
        match self.note(answer) {
            Ok(_) => {
                assert_eq!(state, waited.state, "changed since it was asked");
                self.versions[dataset][at].state = VersionState::DestroyScheduled;
            }
            // what was changed and changed back is another target too
            Err(reason) => assert!(
                ["APPROVAL_MISMATCH", "APPROVAL_OVER", "VERSION_STATE"].contains(&&*reason),
                "{reason}"
            ),
        }
    }

    /// The store agrees with the model.
    pub(super) async fn check_versions(&mut self) {
        for (dataset, name) in DATASETS.iter().enumerate() {
            let listed = self.operator.versions(name).await.unwrap();
            let listed: Vec<VersionModel> = listed
                .iter()
                .map(|version| VersionModel {
                    state: version.state(),
                    compromised: version.compromised.is_some(),
                })
                .collect();
            assert_eq!(listed, self.versions[dataset]);
        }
    }
}
