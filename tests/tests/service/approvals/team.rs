//! Teams of two and three: their profiles, passwords, authenticators and keys, and the command line run by each.

mod running;

use super::by_hand::{enrols, make_openssh_key, sign};
use kms_core::audit::Outcome;
use kms_core::audit::leaf::approval_of as approval_of_entry;
use kms_core::cipher::ssh_signature::SignerKey;
use kms_core::policy::Action;
use kms_proto::v1::{ApproveRequest, ConfirmClockRequest, GetApprovalRequest};
use kms_server::audit_log::{Filter, Query};
use kms_server::jobs;
use kms_server::serve::Running;
use kms_tests::caller::{Caller, reason};
use kms_tests::console::{Console, Said};
use kms_tests::daemon::{Installation, Role};
use kms_tests::in_process::{InProcess, SMALL_TEAM_DELAY};
use ring::digest::{SHA256, digest};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
/// What is not told in this time is not told.
const HANG: Duration = Duration::from_secs(60);

pub(crate) struct Team {
    process: InProcess,
    running: Running,
}

/// The id that a refused command names.
#[track_caller]
pub(crate) fn approval_of(said: &Said) -> String {
    let found = said.err.trim_end().rsplit_once("--approval ");
    found.unwrap_or_else(|| panic!("{said:?}")).1.to_owned()
}

impl Team {
    /// Alice and bob, under a declared delay.
    pub(crate) async fn of_two(delay: &str) -> Self {
        let process = InProcess::new();
        let path = process.installation.dir().join("kms.toml");
        let told = process.installation.scratch().join("told");
        let text = fs::read_to_string(&path).unwrap();
        let delay = format!("small_team_delay = {delay:?}\n");
        let text = text
            .replace("totp_steps_back = 2880", "totp_steps_back = 20160")
            .replace("small_team_delay = \"1s\"\n", &delay);
        let rules = "[approvals.required]\nScheduleVersionDestruction = 2\n";
        let rules = if delay.contains("24h") || delay.contains("1h") {
            ""
        } else {
            rules
        };
        let script = format!("/bin/cat >> {}", told.display());
        let text =
            format!("{text}\n{rules}[notices]\ncommand = [\"/bin/sh\", \"-c\", {script:?}]\n");
        fs::write(&path, text).unwrap();
        let running = process.serve().await;
        let team = Self { process, running };
        team.at(Role::Operator);
        team.at(Role::Approver);
        // until then the delay is a second
        team.insist(&["approval", "declare", "--confirm=roster"])
            .ok();
        team
    }

    /// Carol beside them; two must approve a destruction, and everybody's key counts.
    pub(crate) async fn of_three() -> Self {
        let mut team = Self::of_two("2s").await;
        let added = [
            "operator",
            "add",
            "carol",
            "--role=approver",
            "--output=json",
        ];
        let added = team.insist(&added).ok().json();
        // while two are a small team
        team.bob_enrols(SMALL_TEAM_DELAY * 2).await;
        team.carol_enrols(added["enrolment_token"].as_str().unwrap());
        team.pass(25 * HOUR).await;
        let key = team.path("carol_ssh");
        make_openssh_key(&key);
        let public = key.with_extension("pub");
        let public = public.to_str().unwrap();
        let add = ["approval", "key", "add", "--ssh-key", public];
        let id = approval_of(&team.carol(&add));
        team.bob_approves(&id).ok();
        team.carol(&[&add[..], &["--approval", &id]].concat()).ok();
        team.pass(25 * HOUR).await;
        team
    }

    pub(crate) fn installation(&self) -> &Installation {
        &self.process.installation
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.process.installation.scratch().join(name)
    }

    /// The role's profile with the address of this daemon.
    fn at(&self, role: Role) -> Console {
        let path = self.process.installation.profile(role);
        let text = fs::read_to_string(&path).unwrap();
        let mut profile: toml::Table = text.parse().unwrap();
        let address = self.running.address().to_string();
        profile.insert("address".into(), address.into());
        kms_tests::daemon::write_toml(&path, &profile);
        Console::new(&path, self.process.installation.scratch())
    }

    pub(crate) fn alice(&self, args: &[&str]) -> Said {
        self.process.installation.kms(Role::Operator).run(args)
    }

    pub(crate) fn bob(&self, args: &[&str]) -> Said {
        self.process.installation.kms(Role::Approver).run(args)
    }

    pub(crate) fn carol(&self, args: &[&str]) -> Said {
        let scratch = self.process.installation.scratch();
        Console::new(&self.path("carol.toml"), scratch).run(args)
    }

    /// What alice must wait for is done when it was waited for.
    fn insist(&self, args: &[&str]) -> Said {
        let id = approval_of(&self.alice(args));
        self.process.clock.advance(SMALL_TEAM_DELAY * 2);
        self.alice(&[args, &["--approval", &id]].concat())
    }

    /// A dataset whose versions 1 and 2 can be destroyed.
    pub(crate) fn letters(&self) {
        let create = ["dataset", "create", "letters", "--deletion-protection=off"];
        self.alice(&create).ok();
        for _ in 0..2 {
            self.alice(&["key", "rotate", "letters"]).ok();
        }
    }

    pub(crate) fn passphrase(&self) -> String {
        let path = self.path("passphrase");
        fs::write(&path, "a passphrase of bob's key\n").unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Bob makes a key of his own and enrols it, which waits so long.
    pub(crate) async fn bob_enrols(&mut self, delay: Duration) {
        let (file, passphrase) = (self.path("bob.key"), self.passphrase());
        let file = file.to_str().unwrap();
        let key = ["--file", file, "--passphrase-file", &passphrase];
        let made = self.bob(&[&["approval", "key", "make"], &key[..]].concat());
        assert!(made.ok().out.starts_with("ssh-ed25519 "));
        let add = [&["approval", "key", "add"], &key[..]].concat();
        let id = approval_of(&self.bob(&add));
        self.pass(delay).await;
        self.bob(&[&add[..], &["--approval", &id]].concat()).ok();
    }

    pub(crate) fn bob_approves(&self, id: &str) -> Said {
        let (file, passphrase) = (self.path("bob.key"), self.passphrase());
        let file = file.to_str().unwrap();
        let confirm = format!("--confirm={id}");
        self.bob(&[
            "approval",
            "approve",
            id,
            "--file",
            file,
            "--passphrase-file",
            &passphrase,
            &confirm,
            "--output=json",
        ])
    }

    pub(crate) fn carol_approves(&self, id: &str) -> Said {
        let key = self.path("carol_ssh");
        let confirm = format!("--confirm={id}");
        let key = key.to_str().unwrap();
        let args = [
            "approval",
            "approve",
            id,
            "--ssh-key",
            key,
            &confirm,
            "--output=json",
        ];
        self.carol(&args)
    }

    pub(crate) fn approves_with_a_strange_key(&self, id: &str) -> Said {
        let key = self.path("strange");
        make_openssh_key(&key);
        let confirm = format!("--confirm={id}");
        self.bob(&[
            "approval",
            "approve",
            id,
            "--ssh-key",
            key.to_str().unwrap(),
            &confirm,
        ])
    }

    pub(crate) fn bob_adds_another_key(&self) -> Said {
        let key = self.path("another");
        make_openssh_key(&key);
        let public = key.with_extension("pub");
        self.bob(&[
            "approval",
            "key",
            "add",
            "--ssh-key",
            public.to_str().unwrap(),
        ])
    }

    pub(crate) fn bob_adds_carols_key(&self) -> Said {
        let public = self.path("carol_ssh.pub");
        self.bob(&[
            "approval",
            "key",
            "add",
            "--ssh-key",
            public.to_str().unwrap(),
        ])
    }

    /// Sends carol's signature over a statement that `change` changed. Says how it ended.
    pub(crate) async fn carol_signs(&self, id: &str, change: impl Fn(&mut Vec<u8>)) -> String {
        let caller = self.carols_connection().await;
        let name = format!("approvals/{id}");
        let request = GetApprovalRequest { name: name.clone() };
        let mut approvals = caller.approvals();
        let shown = approvals.get_approval(request).await.unwrap().into_inner();
        let mut statement = shown.approval.unwrap().statement.to_vec();
        change(&mut statement);
        let (public_key, signature) = sign(
            &self.path("carol_ssh"),
            digest(&SHA256, &statement).as_ref(),
        );
        let request = ApproveRequest {
            name,
            public_key: public_key.into(),
            signature: signature.into(),
            validate_only: false,
        };
        let answer = approvals.approve(request).await;
        answer.map_or_else(|status| reason(&status), |_| "OK".to_owned())
    }

    async fn carols_connection(&self) -> Caller {
        use kms_tests::credentials::Credentials;
        use kms_tests::operator::Person;
        use kms_tests::wire::Wire;
        let profile = self.path("carol.toml");
        let credentials = Credentials::from_profile(&profile);
        let wire = Wire::connect(self.running.address(), &credentials).await;
        let person = Person::of(&profile, self.process.clock.clone());
        Caller::new(wire.unwrap().with_person(person))
    }

    /// Under the approver's certificate; her password and codes come from files like the others'.
    pub(crate) fn carol_enrols(&self, token: &str) {
        let profile = self.process.installation.profile(Role::Approver);
        let mut carol: toml::Table = fs::read_to_string(&profile).unwrap().parse().unwrap();
        let (password, secret) = (self.path("carol.password"), self.path("carol.totp"));
        fs::write(&password, "plum-orbit-canyon-41-velvet\n").unwrap();
        let operator = carol["operator"].as_table_mut().unwrap();
        operator.insert("user".into(), "carol".into());
        let text = |path: &Path| toml::Value::from(path.to_str().unwrap());
        operator.insert("password_file".into(), text(&password));
        operator.insert("totp_file".into(), text(&secret));
        kms_tests::daemon::write_toml(&self.path("carol.toml"), &carol);
        let scratch = self.process.installation.scratch();
        let console = Console::new(&self.path("carol.toml"), scratch);
        let token = ("carol", token);
        enrols(&console, token, (&password, &secret), self.process.now());
    }

    /// Anew, with the password that her profile names and another authenticator.
    pub(crate) fn alice_enrols(&self, token: &str) {
        let dir = self.installation().dir();
        let (password, secret) = (dir.join("operator.password"), dir.join("operator.totp"));
        let console = self.installation().kms(Role::Operator);
        let token = ("alice", token);
        enrols(&console, token, (&password, &secret), self.process.now());
    }

    /// Moves both clocks, and waits until the time mark has followed.
    pub(crate) async fn pass(&mut self, time: Duration) {
        self.process.clock.advance(time);
        for _ in 0..3 {
            self.jobs_pass().await;
        }
    }

    pub(crate) async fn jobs_pass(&self) {
        let mut passes = self.running.passes();
        passes.borrow_and_update();
        self.process.clock.advance(jobs::PASS_EVERY * 2);
        passes.changed().await.unwrap();
    }

    /// Only the wall clock moves, and the jobs see it.
    pub(crate) async fn leap(&mut self, time: Duration) {
        let now = self.process.now();
        self.process.clock.step_wall(now.saturating_add(time));
        self.jobs_pass().await;
        self.jobs_pass().await;
    }

    /// It was wrong: back, and an operator confirms.
    pub(crate) async fn leap_back(&mut self, time: Duration) {
        let now = self.process.now();
        self.process.clock.step_wall(now.saturating_sub(time));
        let bob = self.process.caller(&self.running, Role::Approver).await;
        let now = Some(prost_types::Timestamp {
            seconds: self.process.now().as_micros() / 1_000_000,
            nanos: 0,
        });
        let request = ConfirmClockRequest {
            now,
            validate_only: false,
        };
        bob.system().confirm_clock(request).await.unwrap();
        self.jobs_pass().await;
    }

    pub(crate) fn notices(&self) -> PathBuf {
        self.path("told")
    }

    /// What people were told of it, once its use was told.
    pub(crate) async fn told(&self, about: &str) -> Vec<String> {
        let told = async {
            loop {
                let all = fs::read_to_string(self.notices()).unwrap_or_default();
                let lines = all.lines().filter(|line| line.contains(about));
                let lines: Vec<String> = lines.map(str::to_owned).collect();
                if lines.iter().any(|line| line.contains("approval used")) {
                    return lines;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(HANG, told).await.unwrap()
    }

    /// The log holds the signatures that the call rested on.
    pub(crate) fn assert_logged(&self, id: &str, signatures: usize) {
        let filter = Filter {
            action: Some(Action::ScheduleVersionDestruction),
            outcome: Some(Outcome::Ok),
            ..Filter::default()
        };
        let query = Query {
            from_sequence: u64::MAX,
            newest_first: true,
            filter,
            limit: 1,
        };
        let page = self.running.audit().read(&query).unwrap();
        let entry = page.entries[0].entry.as_ref().unwrap();
        let rests = approval_of_entry(entry).unwrap();
        assert_eq!(rests.id.to_string(), id);
        assert_eq!(rests.signatures.len(), signatures);
        // whoever has the public keys verifies them, without the statement
        let kept = fs::read_to_string(self.path("carol_ssh.pub")).unwrap();
        let carol = SignerKey::from_line(&kept).unwrap();
        let signatures = rests.signatures.iter();
        let hers = signatures.filter(|it| carol.verify(&rests.statement, it).is_ok());
        assert_eq!(hers.count(), 1);
    }

    /// The report shows the approval with both signatures, beside what was done with it.
    pub(crate) fn assert_reported(&self, id: &str) {
        let key = self.process.installation.dir().join("audit.pub");
        let report = |more: &[&str]| {
            let args = [
                "audit",
                "report",
                "--from",
                "30d",
                "--to",
                "2099-01-01",
                "--key",
            ];
            self.alice(&[&args[..], &[key.to_str().unwrap()], more].concat())
        };
        let json = report(&["--output", "json"]).ok().json();
        let name = format!("approvals/{id}");
        let of = |list: &str| -> Vec<serde_json::Value> {
            let newest = json[list]["newest"].as_array().unwrap();
            let about = newest
                .iter()
                .filter(|it| it["approval"]["approval"] == name);
            about.cloned().collect()
        };
        let votes = of("approvals");
        assert_eq!(votes.len(), 2, "{json}");
        let used = of("destruction");
        let used = used.iter().find(|it| it["outcome"] == "OK").unwrap();
        let signatures = used["approval"]["signatures"].as_array().unwrap();
        assert!(signatures.iter().all(|it| it["holds"] == true), "{used}");
        let hers = fs::read_to_string(self.path("carol_ssh.pub")).unwrap();
        let hers = SignerKey::from_line(&hers).unwrap().fingerprint();
        let keys: Vec<_> = signatures.iter().map(|it| it["key"].as_str()).collect();
        assert!(keys.len() == 2 && keys.contains(&Some(&hers)), "{keys:?}");
        let file = self.path("report.html");
        report(&["-o", file.to_str().unwrap()]).ok();
        let html = fs::read_to_string(&file).unwrap();
        assert!(html.contains(&name) && html.contains(&hers), "in the page");
    }

    pub(crate) async fn close(self) {
        self.running.stop().await;
    }
}
