//! Day one in production: the commands that README.md shows, over real processes, from an empty directory to a service's
//! first data key. What a person would type in answer comes from files.

use kms_server::system::clock::{Clock, SystemClock};
use kms_tests::binaries;
use kms_tests::console::{Said, said};
use kms_tests::daemon::Daemon;
use kms_tests::operator::totp;
use rustix::fs::inotify;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The commands of README.md's section, line by line.
fn commands() -> Vec<String> {
    let text = fs::read_to_string(binaries::checkout().join("README.md")).unwrap();
    let (_, section) = text.split_once("\n## Production\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let blocks = section.split("```bash\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().unwrap());
    blocks.flat_map(str::lines).map(str::to_owned).collect()
}

/// A person's machine: a folder, a password, an authenticator, and what commands told.
struct Stage {
    folder: tempfile::TempDir,
    address: String,
    profile: Option<PathBuf>,
    token: String,
    recovery: Vec<String>,
    daemon: Option<Daemon>,
}

impl Stage {
    fn new() -> Self {
        // free a moment ago: profiles name the port that the daemon will listen on
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let folder = tempfile::Builder::new()
            .prefix("kms-test-")
            .tempdir()
            .unwrap();
        fs::write(
            folder.path().join("password"),
            "plum-orbit-canyon-41-velvet\n",
        )
        .unwrap();
        Self {
            folder,
            address: free.local_addr().unwrap().to_string(),
            profile: None,
            token: String::new(),
            recovery: Vec::new(),
            daemon: None,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, words: &[&str]) -> Command {
        let (program, args) = words.split_first().unwrap();
        let program = match *program {
            "kms-server" => binaries::server(),
            "kms" => binaries::kms(),
            other => panic!("{other}?"),
        };
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env("XDG_RUNTIME_DIR", self.folder.path())
            .env_remove("KMS_PROFILE")
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(profile) = &self.profile {
            command.env("KMS_PROFILE", profile);
        }
        command
    }

    #[track_caller]
    fn run(&self, words: &[&str]) -> Said {
        let output = self.command(words).output().unwrap();
        said(&output).ok()
    }

    /// One line as it stands, with what only this run knows in its place.
    fn perform(&mut self, line: &str) -> Said {
        let line = line
            .replace("kms.crm.example", "127.0.0.1")
            .replace("TOKEN", &self.token);
        let words: Vec<&str> = line.split_whitespace().collect();
        let answers: &[&str] = match words.as_slice() {
            ["export", given] => {
                let profile = given.strip_prefix("KMS_PROFILE=").unwrap();
                self.profile = Some(profile.into());
                return Said {
                    code: 0,
                    out: String::new(),
                    err: String::new(),
                };
            }
            ["kms-server", "init", ..] => &["--listen", &self.address],
            ["kms-server", "run", ..] => return self.serve(&words),
            ["kms", "mfa", "enroll", ..] => return self.enrol(&words),
            ["kms", "login"] => &["--password-file", "password", "--totp", &self.recovery[0]],
            // each with a new code
            ["kms", "service", "add" | "revoke", ..] => &["--totp", &self.recovery[1]],
            _ => &[],
        };
        let words: Vec<&str> = words.iter().chain(answers).copied().collect();
        self.run(&words)
    }

    fn serve(&mut self, words: &[&str]) -> Said {
        let daemon = Daemon::spawn(self.command(words), &self.path("log"));
        let daemon = daemon.unwrap_or_else(|refused| panic!("no start: {refused:?}"));
        assert_eq!(daemon.address.to_string(), self.address);
        let said = daemon.said.clone();
        self.daemon = Some(daemon);
        Said {
            code: 0,
            out: said,
            err: String::new(),
        }
    }

    /// The command waits for a code of the authenticator whose secret it shows.
    fn enrol(&mut self, words: &[&str]) -> Said {
        let answers = ["--password-file", "password", "--secret-file", "secret"];
        let words: Vec<&str> = words.iter().chain(&answers).copied().collect();
        let watch = Watch::on(self.folder.path());
        let mut command = self.command(&words);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        watch.until_written("secret");
        let secret = fs::read_to_string(self.path("secret")).unwrap();
        let secret = data_encoding::BASE32_NOPAD.decode(secret.trim_end().as_bytes());
        let now = SystemClock::new().now().as_micros() / 30_000_000;
        let code = totp(&secret.unwrap(), u64::try_from(now).unwrap());
        let mut input = child.stdin.take().unwrap();
        writeln!(input, "{code}").unwrap();
        drop(input);
        let said = said(&child.wait_with_output().unwrap()).ok();
        self.recovery = said.out.lines().map(str::to_owned).collect();
        said
    }
}

/// Waits for files without looking again and again.
struct Watch(std::os::fd::OwnedFd);

impl Watch {
    fn on(folder: &Path) -> Self {
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
        inotify::add_watch(&watch, folder, inotify::WatchFlags::CLOSE_WRITE).unwrap();
        Self(watch)
    }

    fn until_written(self, name: &str) {
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(self.0, &mut buffer);
        loop {
            let event = events.next().unwrap();
            if event
                .file_name()
                .is_some_and(|it| it.to_bytes() == name.as_bytes())
            {
                return;
            }
        }
    }
}

/// What stands behind `name` in a command's facts.
fn fact(said: &Said, name: &str) -> String {
    let mut lines = said.out.lines().map(str::trim_start);
    let line = lines.find(|line| line.starts_with(name)).unwrap();
    line[name.len()..].trim().to_owned()
}

#[test]
fn day_one_is_as_readme_shows_it() {
    let mut stage = Stage::new();
    let commands = commands();
    assert_eq!(commands.len(), 10, "{commands:?}");
    let mut told: BTreeMap<usize, Said> = BTreeMap::new();
    for (number, line) in commands.iter().enumerate() {
        let said = stage.perform(line);
        // each token is for the next command that asks for one
        if line.starts_with("kms-server init") {
            let (_, rest) = said.out.split_once("--token ").unwrap();
            stage.token = rest.split_whitespace().next().unwrap().to_owned();
        } else if line.starts_with("kms service add") {
            stage.token = fact(&said, "token");
        }
        told.insert(number, said);
    }
    let wrapped = &told[&(commands.len() - 1)].out;
    assert!(wrapped.contains("kms1:"), "{wrapped}");

    // no secret of it lies in a file that others could read, and a second init leaves all as it is
    let before = fs::read(stage.path("kms/kms.toml")).unwrap();
    let words: Vec<&str> = commands[0].split_whitespace().collect();
    let refused = stage.command(&words).output().unwrap();
    assert_eq!(refused.status.code(), Some(10));
    assert_eq!(fs::read(stage.path("kms/kms.toml")).unwrap(), before);

    // renew, list, revoke
    let web = "web/web.toml";
    let renewed = stage.run(&["kms", "--profile", web, "service", "renew"]);
    assert!(renewed.out.contains("renew from"), "{renewed:?}");
    let due = stage.run(&["kms", "--profile", web, "service", "renew", "--if-due"]);
    assert!(due.err.contains("not due"), "{due:?}");
    stage.run(&["kms", "--profile", web, "data-key", "generate", "customers"]);
    let listed = stage
        .run(&["kms", "service", "list", "--output", "json"])
        .json();
    assert_eq!(listed[1]["name"], "services/web");
    assert_eq!(listed[1]["state"], "ENROLLED");
    let code = stage.recovery[2].clone();
    stage.run(&[
        "kms",
        "service",
        "revoke",
        "web",
        "--confirm",
        "web",
        "--totp",
        &code,
    ]);
    let words = ["kms", "--profile", web, "data-key", "generate", "customers"];
    let refused = said(&stage.command(&words).output().unwrap());
    assert_eq!(refused.code, 5, "{refused:?}");
    assert!(stage.daemon.take().unwrap().terminate().success());
}
