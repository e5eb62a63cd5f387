//! Others must say yes: a destroy by three operators from the command line, each way to cheat, and how a team of two
//! lives with it. The daemon is in this process, so that its clock can be moved over days.

mod by_hand;
mod overriding;
mod roster;
mod team;
mod webhook;

use kms_server::seal::UnsealError;
use kms_server::seal::passphrase::Passphrase;
use kms_server::system::private_file;
use kms_tests::console::Said;
use kms_tests::in_process::InProcess;
use std::fs;
use team::{HOUR, Team, approval_of};

/// Says what a refused command must have said.
#[track_caller]
fn refused(said: &Said, reason: &str) {
    assert_ne!(said.code, 0, "{said:?}");
    assert!(said.err.contains(reason), "{reason}: {said:?}");
}

fn state(said: &Said) -> String {
    said.json()["state"].as_str().unwrap().to_owned()
}

const DESTROY_1: [&str; 5] = ["key", "destroy", "letters", "1", "--confirm=letters/1"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_operators_destroy_a_version_from_the_command_line() {
    if !crate::has_tool("ssh-keygen") {
        return;
    }
    let team = Team::of_three().await;
    team.letters();
    // alice asks; it waits, and waits on
    let asked = team.alice(&DESTROY_1);
    refused(&asked, "APPROVAL_REQUIRED");
    assert_eq!(asked.code, 4, "{asked:?}");
    let id = approval_of(&asked);
    assert_eq!(approval_of(&team.alice(&DESTROY_1)), id, "asked once");
    let using = |args: &[&str]| {
        let approval = ["--approval", &id];
        team.alice(&[args, &approval].concat())
    };
    refused(&using(&DESTROY_1), "APPROVAL_REQUIRED");
    // bob reads every field, and signs with a key of his own
    let shown = team.bob(&["approval", "show", &id]).ok();
    for field in [
        "datasets/letters/versions/1",
        "operators/alice",
        "to be signed",
    ] {
        assert!(shown.out.contains(field), "{field}: {shown:?}");
    }
    let signed = team.bob_approves(&id);
    assert_eq!(state(&signed.ok()), "WAITING");
    refused(&team.bob_approves(&id), "VOTE_REFUSED");
    refused(&using(&DESTROY_1), "APPROVAL_REQUIRED");
    // carol's key is an OpenSSH one
    assert_eq!(state(&team.carol_approves(&id).ok()), "READY");
    // it is good for these words, this version, this requester only
    let other_wait = [&DESTROY_1[..], &["--wait", "8d"]].concat();
    refused(&using(&other_wait), "APPROVAL_MISMATCH");
    let other_version = ["key", "destroy", "letters", "2", "--confirm=letters/2"];
    refused(&using(&other_version), "APPROVAL_MISMATCH");
    let done = using(&[&DESTROY_1[..], &["--output", "json"]].concat()).ok();
    assert_eq!(state(&done), "DESTROY_SCHEDULED");
    // once
    let restored = ["key", "restore", "letters", "1"];
    let _ = team.alice(&restored).ok();
    refused(&using(&DESTROY_1), "APPROVAL_OVER");
    team.assert_logged(&id, 2);
    team.assert_reported(&id);
    team.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_way_to_cheat_an_approval_is_refused() {
    if !crate::has_tool("ssh-keygen") {
        return;
    }
    let mut team = Team::of_three().await;
    team.letters();
    let ask = |team: &Team| approval_of(&team.alice(&DESTROY_1));
    let used = |team: &Team, id: &str| team.alice(&[&DESTROY_1[..], &["--approval", id]].concat());

    // one's own: bob may approve, and asks for something himself
    let own = team.bob(&["operator", "remove", "ada", "--confirm=ada"]);
    refused(&team.bob_approves(&approval_of(&own)), "VOTE_REFUSED");
    // somebody else's approval is nobody's
    let id = ask(&team);
    let taken = team.bob(&[
        "operator",
        "remove",
        "ada",
        "--confirm=ada",
        "--approval",
        &id,
    ]);
    refused(&taken, "DENIED");
    // a key that nobody enrolled
    refused(&team.approves_with_a_strange_key(&id), "VOTE_REFUSED");
    // a signature over something else: another installation's approval, or one that was changed on the way
    assert_eq!(
        team.carol_signs(&id, |statement| statement[60] ^= 1).await,
        "SIGNATURE_REFUSED"
    );
    let origin = |statement: &mut Vec<u8>| {
        let place = statement
            .windows(7)
            .position(|it| it == b"kms-dev")
            .unwrap();
        statement[place] = b'x';
    };
    assert_eq!(team.carol_signs(&id, origin).await, "SIGNATURE_REFUSED");
    assert_eq!(team.carol_signs(&id, |_| {}).await, "OK");

    // what it is about changes meanwhile
    team.bob_approves(&id).ok();
    team.alice(&["key", "disable", "letters", "1"]).ok();
    refused(&used(&team, &id), "APPROVAL_MISMATCH");

    // a signature of somebody who may no longer act counts no longer
    let id = ask(&team);
    team.bob_approves(&id).ok();
    team.carol_approves(&id).ok();
    team.alice(&["operator", "disable", "carol"]).ok();
    refused(&used(&team, &id), "APPROVAL_REQUIRED");
    let left = team.alice(&["approval", "show", &id, "--output=json"]).ok();
    assert_eq!(left.json()["votes"].as_array().unwrap().len(), 1);
    assert_eq!(left.json()["votes"][0]["operator"], "operators/bob");

    // rejected, cancelled, expired
    team.bob(&["approval", "reject", &id, "--reason", "not today"])
        .ok();
    refused(&used(&team, &id), "APPROVAL_OVER");
    refused(&team.bob_approves(&id), "APPROVAL_OVER");
    let id = ask(&team);
    refused(&team.bob(&["approval", "cancel", &id]), "DENIED");
    refused(
        &team.alice(&["approval", "reject", &id, "--reason", "mine"]),
        "DENIED",
    );
    team.alice(&["approval", "cancel", &id]).ok();
    refused(&used(&team, &id), "APPROVAL_OVER");
    let id = ask(&team);
    team.bob_approves(&id).ok();
    team.pass(25 * HOUR).await;
    refused(&used(&team, &id), "APPROVAL_OVER");
    team.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_roster_changes_itself_only() {
    if !crate::has_tool("ssh-keygen") {
        return;
    }
    let mut team = Team::of_three().await;
    // adding somebody needs another's word now, and no delay stands in for it
    let add = ["operator", "add", "dora", "--role=approver"];
    let asked = team.alice(&add);
    refused(&asked, "APPROVAL_REQUIRED");
    let id = approval_of(&asked);
    team.pass(2 * HOUR).await;
    let using = [&add[..], &["--approval", &id]].concat();
    refused(&team.alice(&using), "APPROVAL_REQUIRED");
    team.bob_approves(&id).ok();
    team.alice(&using).ok();
    // a second key of bob's is a change of the roster, and so are rules, roles and a second factor taken away
    for args in [
        &["operator", "reset-mfa", "carol"][..],
        &["operator", "set-roles", "carol", "--role=key-admin"],
        &["approval", "declare", "--confirm=roster"],
    ] {
        refused(&team.alice(args), "APPROVAL_REQUIRED");
    }
    refused(&team.bob_adds_another_key(), "APPROVAL_REQUIRED");
    // one person, one account: carol's key is no second one of bob's
    refused(&team.bob_adds_carols_key(), "ALREADY_EXISTS");
    // who is let in anew counts only a day later
    let id = approval_of(&team.alice(&["operator", "reset-mfa", "carol"]));
    team.bob_approves(&id).ok();
    team.alice(&["operator", "reset-mfa", "carol", "--approval", &id])
        .ok();
    let roster = team
        .bob(&["approval", "roster", "--output=json"])
        .ok()
        .json();
    assert_eq!(roster["mode"], "quorum");
    let counts = |who: usize| {
        roster["approvers"][who]["keys"][0]["counts_from"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert!(counts(1) > counts(0), "{roster}");
    team.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_approver_counts_after_a_day() {
    let mut team = Team::of_two("1h").await;
    team.letters();
    team.bob_enrols(HOUR).await;
    let id = approval_of(&team.alice(&DESTROY_1));
    refused(&team.bob_approves(&id), "VOTE_REFUSED");
    team.pass(23 * HOUR).await;
    team.alice(&["approval", "cancel", &id]).ok();
    let id = approval_of(&team.alice(&DESTROY_1));
    refused(&team.bob_approves(&id), "VOTE_REFUSED");
    team.pass(2 * HOUR).await;
    // in a team of two the other's word is worth more than waiting
    team.alice(&["approval", "cancel", &id]).ok();
    let id = approval_of(&team.alice(&DESTROY_1));
    assert_eq!(state(&team.bob_approves(&id).ok()), "READY");
    team.alice(&[&DESTROY_1[..], &["--approval", &id]].concat())
        .ok();
    team.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_team_of_two_waits_a_day_is_told_and_can_stop_it() {
    let mut team = Team::of_two("24h").await;
    team.letters();
    let status = team.alice(&["status", "--output=json"]).ok().json();
    let mode = status["roster_mode"].as_str().unwrap();
    assert!(
        mode.contains("small team") && mode.contains("86400 s"),
        "{mode}"
    );
    let using = |team: &Team, id: &str| team.alice(&[&DESTROY_1[..], &["--approval", id]].concat());

    // stopped by the other, and by herself
    let id = approval_of(&team.alice(&DESTROY_1));
    team.bob(&["approval", "reject", &id, "--reason", "why?"])
        .ok();
    team.pass(25 * HOUR).await;
    refused(&using(&team, &id), "APPROVAL_OVER");
    let id = approval_of(&team.alice(&DESTROY_1));
    team.alice(&["approval", "cancel", &id]).ok();
    team.pass(25 * HOUR).await;
    refused(&using(&team, &id), "APPROVAL_OVER");

    // a clock that leaps brings nothing nearer
    let id = approval_of(&team.alice(&DESTROY_1));
    team.leap(25 * HOUR).await;
    refused(&using(&team, &id), "APPROVAL_REQUIRED");
    team.leap_back(25 * HOUR).await;

    // done when the day is over, and not before
    team.pass(23 * HOUR).await;
    refused(&using(&team, &id), "APPROVAL_REQUIRED");
    team.pass(2 * HOUR).await;
    using(&team, &id).ok();
    // everybody was told of each step
    let told = team.told(&format!("approvals/{id}")).await;
    assert!(
        told.iter().any(|it| it.contains("approval requested")),
        "{told:?}"
    );
    assert!(
        told.iter().any(|it| it.contains("approval used")),
        "{told:?}"
    );
    let all = fs::read_to_string(team.notices()).unwrap();
    for event in ["approval rejected", "approval cancelled"] {
        assert!(all.contains(event), "{event}: {all}");
    }
    team.close().await;
}
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_way_back_in_takes_the_passphrase_and_a_day_that_all_hear_of() {
    let mut team = Team::of_two("24h").await;
    let dir = team.installation().dir();
    let right = dir.join("seal.passphrase");
    let wrong = team.installation().scratch().join("wrong");
    fs::write(&wrong, "not the passphrase\n").unwrap();
    let recover = |team: &Team, file: &std::path::Path, more: &[&str]| {
        let file = file.to_str().unwrap();
        let command = [
            "operator",
            "recover",
            "alice",
            "--passphrase-file",
            file,
            "--output=json",
        ];
        team.alice(&[&command[..], more].concat())
    };
    let guess = recover(&team, &wrong, &[]);
    refused(&guess, "UNSEAL_FAILED");
    // bob hears of it, and stops it
    let id = approval_of(&recover(&team, &right, &[]));
    let shown = team.bob(&["approval", "show", &id]).ok();
    assert!(shown.out.contains("RecoverOperator"), "{shown:?}");
    assert!(!shown.out.contains("passphrase"), "{shown:?}");
    team.bob(&["approval", "reject", &id, "--reason", "alice is here"])
        .ok();
    team.pass(25 * HOUR).await;
    refused(
        &recover(&team, &right, &["--approval", &id]),
        "APPROVAL_OVER",
    );
    // he cannot a second time alone: not before three days, and with the passphrase again
    let id = approval_of(&recover(&team, &right, &[]));
    let using = ["--approval", id.as_str()];
    let again = [
        "approval",
        "reject",
        &id,
        "--reason",
        "still",
        "--output=json",
    ];
    assert_eq!(state(&team.bob(&again).ok()), "WAITING");
    refused(&team.bob(&again), "VOTE_REFUSED");
    team.pass(71 * HOUR).await;
    refused(&recover(&team, &right, &using), "APPROVAL_REQUIRED");
    team.pass(2 * HOUR).await;
    refused(&recover(&team, &wrong, &using), "UNSEAL_FAILED");
    let token = recover(&team, &right, &using).ok().json();
    assert_eq!(token["state"], "ENROLLING");
    assert!(token["roles"].to_string().contains("security-admin"));
    refused(&recover(&team, &right, &using), "APPROVAL_OVER");
    // what she had opens nothing any more; with the token she enrols anew
    let status = team.alice(&["whoami"]);
    refused(&status, "LOGIN_FAILED");
    team.alice_enrols(token["enrolment_token"].as_str().unwrap());
    team.alice(&["whoami"]).ok();
    let told = team.told(&format!("approvals/{id}")).await;
    for event in ["approval requested", "approval objected to"] {
        assert!(
            told.iter().any(|it| it.contains(event)),
            "{event}: {told:?}"
        );
    }
    // and stays in
    refused(&team.bob(&["operator", "disable", "alice"]), "DENIED");
    team.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_third_person_who_cannot_approve_leaves_the_roster_its_delay() {
    let mut team = Team::of_two("1h").await;
    let add = [
        "operator",
        "add",
        "carol",
        "--role=key-admin",
        "--output=json",
    ];
    let id = approval_of(&team.alice(&add));
    team.pass(HOUR).await;
    let added = team.alice(&[&add[..], &["--approval", &id]].concat());
    team.carol_enrols(added.ok().json()["enrolment_token"].as_str().unwrap());
    let status = team.alice(&["status", "--output=json"]).ok().json();
    let mode = status["roster_mode"].as_str().unwrap();
    assert!(mode.contains("unreachable: a delay of 3600 s"), "{mode}");
    assert!(status["alarms"].to_string().contains("could ever approve"));
    let roster = team.bob(&["approval", "roster", "--output=json"]).ok();
    assert_eq!(roster.json()["mode"], "unreachable");
    // bob's key is the way out: then the quorum is there, and the delay is over
    team.bob_enrols(HOUR).await;
    let roster = team.bob(&["approval", "roster", "--output=json"]).ok();
    assert_eq!(roster.json()["mode"], "quorum");
    let id = approval_of(&team.alice(&["operator", "add", "dora", "--role=auditor"]));
    let shown = team.alice(&["approval", "show", &id, "--output=json"]).ok();
    assert_eq!(shown.json()["ready_at"], serde_json::Value::Null);
    team.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passphrase_that_is_only_checked_opens_nothing() {
    let process = InProcess::new();
    let running = process.serve().await;
    let gate = running.gate();
    assert!(gate.seal().await);
    let right = process.installation.dir().join("seal.passphrase");
    let right = private_file::read_secret(&right).unwrap();
    gate.check(Passphrase::new(right), None).await.unwrap();
    assert!(gate.live().is_none());
    let wrong = Passphrase::new(b"not the passphrase".to_vec().into());
    let refused = gate.check(wrong, None).await.unwrap_err();
    assert_eq!(refused, UnsealError::WrongPassphrase);
    running.stop().await;
}
