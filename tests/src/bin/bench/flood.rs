//! A login flood beside the measurement: many desks guess without a pause, so that every password computation the
//! daemon allows itself is under way all the time.

use bytes::Bytes;
use kms_proto::v1::LoginRequest;
use kms_tests::caller::reason;
use kms_tests::certificate::Authority;
use kms_tests::credentials::Credentials;
use kms_tests::daemon::{Installation, Role, write_toml};
use kms_tests::wire::Wire;
use prost::Message as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Machines that guess; the daemon lets each guess twenty times, then once in ten seconds.
const DESKS: usize = 48;
/// Until a desk that was turned away asks again.
const PAUSE: Duration = Duration::from_millis(50);

fn desk(number: usize) -> String {
    format!("spiffe://crm.example/operator/desk-{number}")
}

/// Lets the desks log in.
pub(crate) fn admit_desks(installation: &Installation) {
    let path = installation.dir().join("kms.toml");
    let text = std::fs::read_to_string(&path).expect("the daemon's configuration");
    let mut config: toml::Table = text.parse().expect("configuration in TOML");
    let principals = config.get_mut("principals");
    let principals = principals.and_then(toml::Value::as_table_mut);
    let principals = principals.expect("a section principals");
    for number in 0..DESKS {
        principals.insert(desk(number), vec!["operator"].into());
    }
    write_toml(&path, &config);
}

/// Guessing, until it is dropped.
#[derive(Debug)]
pub(crate) struct Flood {
    over: Arc<AtomicBool>,
    guessing: Option<JoinHandle<()>>,
}

impl Flood {
    /// Begins against a daemon that admits the desks; returns when each has had an answer.
    pub(crate) fn begin(address: SocketAddr, installation: &Installation) -> Self {
        let authority = Authority::of_development(&installation.dir().join("pki"));
        let profile = installation.profile(Role::Operator);
        let presented = |number| {
            let leaf = authority.client(&desk(number));
            Credentials::presenting(&profile, &leaf)
        };
        let desks: Vec<_> = (0..DESKS).map(presented).collect();
        let (over, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (stop, count) = (Arc::clone(&over), Arc::clone(&answered));
        let guess = async move {
            let mut guessing = tokio::task::JoinSet::new();
            for (number, credentials) in desks.into_iter().enumerate() {
                let (stop, count) = (Arc::clone(&stop), Arc::clone(&count));
                guessing.spawn(async move {
                    let wire = Wire::connect(address, &credentials).await;
                    let wire = wire.expect("a connection");
                    let mut attempt = 0_u64;
                    while !stop.load(Ordering::Relaxed) {
                        attempt += 1;
                        let body = wrong(number, attempt);
                        let refusal = wire.raw("/kms.v1.AuthService/Login", body).await.err();
                        let hashed = refusal.is_some_and(|it| reason(&it) == "LOGIN_FAILED");
                        if attempt == 1 {
                            count.fetch_add(1, Ordering::Relaxed);
                        }
                        if !hashed {
                            // turned away unread: asking faster would only take the measuring client's core
                            tokio::time::sleep(PAUSE).await;
                        }
                    }
                });
            }
            while guessing.join_next().await.is_some() {}
        };
        let guessing = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().build().expect("a runtime");
            runtime.block_on(guess);
        });
        while answered.load(Ordering::Relaxed) < DESKS && !guessing.is_finished() {
            std::thread::sleep(Duration::from_millis(1));
        }
        Self {
            over,
            guessing: Some(guessing),
        }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let ended = self.guessing.take().map(JoinHandle::join);
        assert!(!matches!(ended, Some(Err(_))), "the flood broke off");
    }
}

/// A guess at an account that does not exist: each a new name, so that no counter of failures ends it.
fn wrong(desk: usize, attempt: u64) -> Bytes {
    let request = LoginRequest {
        user: format!("nobody-{desk}-{attempt}"),
        password: "a guess".into(),
        code: "000000".into(),
        validate_only: false,
    };
    request.encode_to_vec().into()
}
