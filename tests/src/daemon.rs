//! Real daemons: `kms-server dev` in a temporary folder, started, killed, stopped, started again.
//!
//! Nothing sleeps: a start is over when the daemon says `ready ADDR`, an end when the kernel says so. The limits
//! below only turn a hang into a failure.

use crate::binaries;
use crate::caller::Caller;
use crate::console::Console;
use crate::credentials::Credentials;
use crate::operator::Person;
use crate::wire::Wire;
use kms_server::system::clock::{Clock, SystemClock};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A start or stop that takes longer hangs.
const HANG: Duration = Duration::from_secs(120);

/// The folder that `kms-server dev` makes, with what the kit keeps beside it.
#[derive(Debug)]
pub struct Installation {
    folder: TempDir,
}

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `D/service.toml`.
    Service,
    /// `D/operator.toml`.
    Operator,
    /// `D/auditor.toml`.
    Auditor,
    /// `D/approver.toml`: the second operator.
    Approver,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Service, Self::Operator, Self::Auditor, Self::Approver];

    /// Name of its profile, without the ending.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
            Self::Approver => "approver",
        }
    }
}

/// A start that did not come to `ready`.
#[derive(Debug)]
pub struct Refused {
    /// Exit code.
    pub code: Option<i32>,
    /// All that it said, on both streams.
    pub said: String,
}

impl Default for Installation {
    fn default() -> Self {
        Self::new()
    }
}

impl Installation {
    /// An empty folder; the first start fills it.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("kms-test-").tempdir();
        Self {
            folder: folder.expect("a temporary folder"),
        }
    }

    /// The folder given to `--dir`.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.folder.path().join("d")
    }

    /// A folder for the test's own files.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// Where the daemon's standard error goes, of all starts.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Starts a daemon on a free port.
    #[must_use]
    #[track_caller]
    pub fn start(&self) -> Daemon {
        self.try_start(&[])
            .unwrap_or_else(|refused| panic!("no start: {refused:?}"))
    }

    /// Starts a daemon with further arguments; the listen address comes from the kit unless given.
    ///
    /// # Errors
    /// It ended before it said `ready`.
    pub fn try_start(&self, args: &[&str]) -> Result<Daemon, Refused> {
        let mut command = Command::new(binaries::server());
        command.arg("dev").arg("--dir").arg(self.dir());
        if !args.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.args(args);
        let daemon = Daemon::spawn(command, &self.log())?;
        for role in Role::ALL {
            self.write_profile(role, daemon.address);
        }
        Ok(daemon)
    }

    /// The role's profile with the address of the last start. Paths in it are absolute.
    #[must_use]
    pub fn profile(&self, role: Role) -> PathBuf {
        self.folder.path().join(format!("{}.toml", role.name()))
    }

    /// The role's credentials.
    #[must_use]
    pub fn credentials(&self, role: Role) -> Credentials {
        Credentials::from_profile(&self.profile(role))
    }

    /// `kms` under the role's profile, run in the scratch folder.
    #[must_use]
    pub fn kms(&self, role: Role) -> Console {
        Console::new(&self.profile(role), self.scratch())
    }

    /// The daemon's profile is right for its first address; a later start on port 0 has another.
    fn write_profile(&self, role: Role, address: SocketAddr) {
        let made = self.dir().join(format!("{}.toml", role.name()));
        let text = std::fs::read_to_string(&made).expect("the daemon wrote its profiles");
        let mut profile: toml::Table = text.parse().expect("a profile in TOML");
        profile.insert("address".into(), address.to_string().into());
        for key in ["ca", "certificate", "key"] {
            if let Some(path) = profile.get(key).and_then(toml::Value::as_str) {
                let path = self.dir().join(path).to_string_lossy().into_owned();
                profile.insert(key.into(), path.into());
            }
        }
        if let Some(operator) = profile
            .get_mut("operator")
            .and_then(toml::Value::as_table_mut)
        {
            for key in ["password_file", "totp_file"] {
                if let Some(path) = operator.get(key).and_then(toml::Value::as_str) {
                    let path = self.dir().join(path).to_string_lossy().into_owned();
                    operator.insert(key.into(), path.into());
                }
            }
        }
        write_toml(&self.profile(role), &profile);
    }
}

/// Writes settings of the kinds that configuration and profiles have.
pub fn write_toml(path: &Path, table: &toml::Table) {
    let mut text = String::new();
    write_table("", table, &mut text);
    std::fs::write(path, text).expect("a file");
}

/// Strings, numbers, booleans and lists of them are written the same way in TOML and JSON.
fn write_table(heading: &str, table: &toml::Table, text: &mut String) {
    for (key, value) in table.iter().filter(|(_, value)| !value.is_table()) {
        let value = serde_json::to_string(value).expect("a plain value");
        *text += &format!("{key:?} = {value}\n");
    }
    for (key, value) in table {
        if let Some(inner) = value.as_table() {
            let heading = format!("{heading}{key:?}");
            *text += &format!("[{heading}]\n");
            write_table(&format!("{heading}."), inner, text);
        }
    }
}

/// A running daemon; killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    /// Where it listens.
    pub address: SocketAddr,
    /// From the start of the process to `ready`.
    pub start_time: Duration,
    /// What it said on standard output up to `ready`.
    pub said: String,
    /// Not the daemon's own, but the same time.
    clock: Arc<SystemClock>,
    pid: u32,
    ended: Receiver<ExitStatus>,
}

impl Daemon {
    /// Runs `command` and waits for `ready ADDR`.
    ///
    /// # Errors
    /// It ended before.
    pub fn spawn(mut command: Command, log: &Path) -> Result<Self, Refused> {
        let options = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log);
        let began = Instant::now();
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(options.expect("a log file"))
            .spawn()
            .expect("kms-server can be run");
        let pid = child.id();
        let (lines, ended) = watch(child);
        let mut said = String::new();
        loop {
            match lines.recv_timeout(HANG) {
                Ok(line) => {
                    said.push_str(&line);
                    said.push('\n');
                    if let Some(address) = line.strip_prefix("ready ") {
                        let address = address.trim().parse();
                        return Ok(Self {
                            address: address.expect("an address after ready"),
                            start_time: began.elapsed(),
                            said,
                            clock: Arc::new(SystemClock::new()),
                            pid,
                            ended,
                        });
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let status = ended.recv_timeout(HANG).expect("closed stdout but runs on");
                    said.push_str(&std::fs::read_to_string(log).unwrap_or_default());
                    let code = status.code();
                    return Err(Refused { code, said });
                }
                Err(RecvTimeoutError::Timeout) => {
                    signal(pid, Signal::KILL);
                    panic!("no ready line: {said}");
                }
            }
        }
    }

    /// Its process.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Kills it without warning and waits for the end.
    pub fn kill(self) {
        signal(self.pid, Signal::KILL);
        let _ = self.end();
    }

    /// Asks it to stop and waits for the end.
    #[must_use]
    pub fn terminate(self) -> ExitStatus {
        signal(self.pid, Signal::TERM);
        self.end()
    }

    /// Asks it to read its certificates again.
    pub fn reload(&self) {
        signal(self.pid, Signal::HUP);
    }

    /// Kills it at a moment that another thread chooses; the owner still waits for the end by [`Daemon::kill`].
    pub fn strike(&self) {
        signal(self.pid, Signal::KILL);
    }

    /// A connection as `role`.
    ///
    /// # Panics
    /// When there is none.
    pub async fn wire(&self, installation: &Installation, role: Role) -> Wire {
        let wire = Wire::connect(self.address, &installation.credentials(role)).await;
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        wire.expect("a connection")
            .with_person(Person::of(&installation.profile(role), clock))
    }

    /// Typed calls over a connection of their own.
    ///
    /// # Panics
    /// When there is no connection.
    pub async fn caller(&self, installation: &Installation, role: Role) -> Caller {
        Caller::new(self.wire(installation, role).await)
    }

    fn end(&self) -> ExitStatus {
        self.ended
            .recv_timeout(HANG)
            .expect("the daemon does not end")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // An ended process is reaped by its waiter before this can meet another of the same number.
        if self.ended.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            signal(self.pid, Signal::KILL);
            let _ = self.ended.recv_timeout(HANG);
        }
    }
}

/// Lines of standard output as they come, and the end of the process.
fn watch(mut child: Child) -> (Receiver<String>, Receiver<ExitStatus>) {
    let (say, lines) = channel();
    let (end, ended) = channel();
    let output = child.stdout.take().expect("standard output is piped");
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // Nobody listens after `ready`; the pipe must be emptied all the same.
            let _ = say.send(line);
        }
    });
    std::thread::spawn(move || {
        let _ = end.send(child.wait().expect("a child can be waited for"));
    });
    (lines, ended)
}

fn signal(pid: u32, signal: Signal) {
    // The process may have ended by itself.
    let _ = kill_process(process(pid), signal);
}

fn process(pid: u32) -> Pid {
    i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .expect("a process number")
}
