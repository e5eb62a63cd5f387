//! The seam's double: a road that identifies the caller, echoes the message and remembers everything.
//! Around it a server on a clock that stands until it is moved.

use crate::pki::{Authority, Credential};
use bytes::Bytes;
use kms_core::engine::view::Refusal;
use kms_core::name::CallId;
use kms_core::policy::RoleTable;
use kms_core::reason::Reason;
use kms_core::time::Timestamp;
use kms_server::call::road::{Early, Incoming, Road, Shed};
use kms_server::config::trust::TrustSettings;
use kms_server::grpc::{Limits, Running, Settings, start};
use kms_server::identity::{self, ClientCertificate, Files, Identity};
use kms_server::system::clock::{Clock, ManualClock};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// 2026-03-01T00:00:00Z.
pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_772_323_200_000_000);

/// What the road was given.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    /// Calls of identified callers: id, path, principal, body.
    pub(crate) calls: Vec<(CallId, &'static str, String, Bytes)>,
    /// Calls whose caller was not acceptable.
    pub(crate) strangers: usize,
    /// Calls refused before the road.
    pub(crate) refused: Vec<(CallId, Option<&'static str>, Reason, &'static str)>,
    /// Peers that got no connection.
    pub(crate) shed: Vec<Reason>,
    /// Calls that hung and were dropped.
    pub(crate) dropped: usize,
    pub(crate) trace_id: Option<[u8; 16]>,
    pub(crate) deadline: Duration,
}

pub(crate) struct Echo {
    seen: watch::Sender<Seen>,
    next: AtomicU64,
    identity: Arc<Identity>,
    clock: Arc<ManualClock>,
}

struct Hanging<'a>(&'a watch::Sender<Seen>);

impl Drop for Hanging<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|seen| seen.dropped += 1);
    }
}

impl Road for Echo {
    type Lane = std::rc::Rc<()>;

    fn lane(&self) -> Self::Lane {
        std::rc::Rc::new(())
    }

    fn next_id(&self, _: &Self::Lane) -> CallId {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        CallId(u128::from(number).to_be_bytes())
    }

    async fn travel(&self, _: &Self::Lane, call: Incoming) -> Result<Bytes, Refusal> {
        let now = self.clock.now();
        let known = self
            .identity
            .identify(&call.connection, &call.authorization, now);
        let principal = match known.await {
            Ok(principal) => principal.name.as_str().to_owned(),
            Err(reason) => {
                self.seen.send_modify(|seen| seen.strangers += 1);
                return Err(reason.into());
            }
        };
        let body = call.body.clone();
        self.seen.send_modify(|seen| {
            let body = call.body.clone();
            seen.calls
                .push((call.id, call.method.path, principal, body));
            seen.trace_id = call.trace_id;
            seen.deadline = call.deadline;
        });
        match &body[..] {
            b"hang" => {
                let _hanging = Hanging(&self.seen);
                std::future::pending().await
            }
            b"panic" => panic!("a defect of the road"),
            b"deny" => Err(Reason::Denied.into()),
            _ => Ok(body),
        }
    }

    async fn refused(&self, _: &Self::Lane, early: Early) {
        let path = early.method.map(|method| method.path);
        self.seen.send_modify(|seen| {
            seen.refused
                .push((early.id, path, early.reason, early.note));
        });
    }

    fn shed(&self, shed: Shed) {
        assert!(shed.source.is_loopback());
        self.seen.send_modify(|seen| seen.shed.push(shed.reason));
    }
}

pub(crate) struct Server {
    pub(crate) running: Running,
    pub(crate) address: SocketAddr,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) seen: watch::Receiver<Seen>,
    pub(crate) sealed: watch::Sender<bool>,
    pub(crate) authority: Authority,
    pub(crate) client: Credential,
    pub(crate) folder: tempfile::TempDir,
}

pub(crate) const CLIENT: &str = "spiffe://crm.example/contacts";

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(ClientCertificate::Required, |_| {})
    }

    /// With a revocation list that names nobody, and one runtime.
    pub(crate) fn with(demand: ClientCertificate, change: impl FnOnce(&mut Settings)) -> Self {
        Self::trusting(demand, None, change)
    }

    /// With the authority in a file, and no revocation list.
    pub(crate) fn with_root(demand: ClientCertificate, root: &Path) -> Self {
        Self::trusting(demand, Some(root), |_| {})
    }

    fn trusting(
        demand: ClientCertificate,
        root: Option<&Path>,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let authority = Authority::new();
        let folder = tempfile::tempdir().unwrap();
        let own = authority.server();
        let put = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let files = Files {
            certificate: put("server.pem", &own.pem),
            key: put("server.key", &own.key.serialize_pem()),
            client_ca: root.map_or_else(|| put("ca.pem", &authority.pem()), Path::to_path_buf),
            crl: root
                .is_none()
                .then(|| put("crl.pem", &authority.revocations(&[]))),
        };
        let clock = Arc::new(ManualClock::new(NOW));
        let shared: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let identity = Arc::new(
            Identity::load(
                files,
                demand,
                identity::Settings {
                    principals: RoleTable::default(),
                    issuers: Vec::new(),
                    trust: TrustSettings::default(),
                },
                Arc::clone(&shared),
            )
            .unwrap(),
        );
        let (sealed, is_sealed) = watch::channel(false);
        let mut settings = Settings {
            identity: Arc::clone(&identity),
            clock: shared,
            limits: Limits {
                runtimes: 1,
                ..Limits::default()
            },
            web_origins: vec!["https://crm.example".to_owned()],
            reflection: false,
            sealed: is_sealed,
        };
        change(&mut settings);
        let seen = watch::Sender::new(Seen::default());
        let watching = seen.subscribe();
        let road = Arc::new(Echo {
            seen,
            next: AtomicU64::new(1),
            identity: Arc::clone(&identity),
            clock: Arc::clone(&clock),
        });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let running = start(listener, road, settings).unwrap();
        Self {
            address: running.address(),
            running,
            clock,
            identity,
            seen: watching,
            sealed,
            client: authority.client(CLIENT),
            authority,
            folder,
        }
    }

    /// Waits until the road has seen it.
    pub(crate) async fn until(&self, what: impl FnMut(&Seen) -> bool) -> Seen {
        let mut seen = self.seen.clone();
        let waited = tokio::time::timeout(Duration::from_secs(30), seen.wait_for(what)).await;
        match waited {
            Ok(seen) => seen.unwrap().clone(),
            Err(_) => panic!("not seen: {:?}", self.seen.borrow().clone()),
        }
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }
}
