//! Policies need the word of others, on exactly these texts; and an installation that declares no roster gets a delay.

use super::team::{HOUR, Team, approval_of};
use super::{refused, state};
use kms_client::{Client, Error};
use kms_proto::v1;
use kms_proto::v1::auth_service_client::AuthServiceClient;
use kms_proto::v1::system_service_client::SystemServiceClient;
use kms_server::jobs;
use kms_tests::production::Production;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use tonic::metadata::AsciiMetadataValue;

/// The shipped roles, and `more`.
fn policies(team: &Team, more: &str) -> PathBuf {
    let directory = team.installation().scratch().join("policies");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir(&directory).unwrap();
    let shipped = kms_tests::binaries::checkout().join("policies/roles");
    for file in fs::read_dir(shipped).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), directory.join(file.file_name())).unwrap();
    }
    fs::write(directory.join("more.cedar"), more).unwrap();
    directory
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_come_into_force_only_as_others_signed_them() {
    if !crate::has_tool("ssh-keygen") {
        return;
    }
    let team = Team::of_three().await;
    let apply = |more: &str, approval: &[&str]| {
        let directory = policies(&team, more);
        let directory = directory.to_str().unwrap();
        team.alice(&[&["policy", "apply", directory], approval].concat())
    };
    let mild =
        "// mild\n@id(\"mild\")\nforbid (principal in Role::\"break-glass\", action, resource);\n";
    let asked = apply(mild, &[]);
    refused(&asked, "APPROVAL_REQUIRED");
    let id = approval_of(&asked);
    // bob reads each line of the texts, not only what stands for them
    let shown = team.bob(&["approval", "show", &id]).ok();
    for line in ["more.cedar:2", "@id(\"mild\")", "break-glass.cedar:1"] {
        assert!(shown.out.contains(line), "{line}: {shown:?}");
    }
    // a little more in the same files is not what he signed
    assert_eq!(state(&team.bob_approves(&id).ok()), "READY");
    let wild =
        format!("{mild}permit (principal == Principal::\"operators/alice\", action, resource);\n");
    refused(&apply(&wild, &["--approval", &id]), "APPROVAL_MISMATCH");
    let shown = team.alice(&["policy", "show", "--output=json"]).ok();
    assert_eq!(shown.json()["generation"], 1);
    apply(mild, &["--approval", &id]).ok();
    let shown = team.alice(&["policy", "show", "--output=json"]).ok();
    assert_eq!(shown.json()["generation"], 2);
    // policies under which nobody could sign the next ones come into force by nobody's word
    let mute = "forbid (principal, action == Action::\"Approve\", resource);";
    refused(&apply(mute, &[]), "QUORUM_UNREACHABLE");
    let checked = policies(&team, mute);
    let check = ["policy", "check", checked.to_str().unwrap(), "--roster"];
    let said = team.alice(&check);
    assert_eq!(said.code, 4, "{said:?}");
    assert!(said.out.contains("unreachable quorum"), "{said:?}");
    let checked = policies(&team, mild);
    let check = ["policy", "check", checked.to_str().unwrap(), "--roster"];
    team.alice(&check).ok();
    // signed over the policies of before, it is good for nothing now
    refused(&apply(&wild, &["--approval", &id]), "APPROVAL_OVER");
    team.close().await;
}

async fn add(alice: &Client, name: &str, approval: Option<&str>) -> Result<(), Error> {
    let request = v1::AddOperatorRequest {
        operator_id: name.into(),
        roles: vec!["approver".into()],
        validate_only: false,
    };
    let approval = approval.map(|id| id.parse().unwrap());
    let answer = alice.once(request, |channel, mut request| {
        if let Some(id) = &approval {
            let metadata = request.metadata_mut();
            metadata.insert("kms-approval", AsciiMetadataValue::clone(id));
        }
        async move { AuthServiceClient::new(channel).add_operator(request).await }
    });
    answer.await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_declares_no_roster_on_the_first_day_waits_a_day_for_each_change() {
    let production = Production::new(Duration::ZERO);
    let running = production.serve().await;
    let pass = async |time: Duration| {
        let mut passes = running.passes();
        for step in [time, jobs::PASS_EVERY * 2, jobs::PASS_EVERY * 2] {
            passes.borrow_and_update();
            production.clock.advance(step);
            passes.changed().await.unwrap();
        }
    };
    let alice = production.alice(&running).await;
    add(&alice, "bob", None).await.unwrap();
    pass(25 * HOUR).await;
    let alice = production.alice(&running).await;
    let waits = add(&alice, "carol", None).await.unwrap_err();
    let id = waits.approval().unwrap().to_owned();
    let request = v1::GetStatusRequest::default();
    let status = alice.repeat(&request, |channel, request| async move {
        SystemServiceClient::new(channel).get_status(request).await
    });
    let status = status.await.unwrap();
    assert_eq!(status.roster_mode, "undeclared");
    assert!(
        status
            .alarms
            .iter()
            .any(|it| it.contains("a delay stands in"))
    );
    let later = async || {
        let alice = production.alice(&running).await;
        add(&alice, "carol", Some(&id)).await
    };
    pass(23 * HOUR).await;
    assert!(later().await.unwrap_err().approval().is_some(), "too early");
    pass(2 * HOUR).await;
    later().await.unwrap();
    running.stop().await;
}
