//! For tests: a key source that does in memory what the service does, with real wraps, versions, shred
//! secrets and counts of the calls made.

use super::{CachedUse, KeySource};
use crate::data_key::{
    DATA_KEY_LEN, DataKey, DataKeyRequest, GeneratedDataKey, UnwrapRequest, UnwrappedDataKey,
};
use crate::error::{Error, ErrorKind};
use crate::name::{DatasetName, KeyContext, SecretKind, ShredUse};
use crate::wrapped::WrappedDataKey;
use crate::wrapped::tests::header;
use cobblestone::{Key, Salt};
use ring::rand::{SecureRandom as _, SystemRandom};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use tokio::sync::Semaphore;

pub(crate) struct LocalService {
    active: AtomicU32,
    /// id of each shred secret by identity; erased ones have none
    shred: Mutex<BTreeMap<String, Option<[u8; 16]>>>,
    pub(crate) calls: AtomicU64,
    pub(crate) down: AtomicBool,
    /// uses and how long ago the first and the last were, of each report that was taken
    pub(crate) reports: Mutex<Vec<Vec<(u64, u64, u64)>>>,
    /// each call takes a permit: none left, and calls stand still
    pub(crate) gate: Semaphore,
}

/// A request of the dataset `customers` with the tenant as its context.
pub(crate) fn request(tenant: &str) -> DataKeyRequest {
    let dataset = DatasetName::parse("customers").unwrap();
    let context = KeyContext::new([("tenant", tenant)]).unwrap();
    DataKeyRequest::new(dataset, context, Vec::new()).unwrap()
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).unwrap();
    bytes
}

fn refused(kind: ErrorKind) -> Error {
    Error::new(kind, "refused")
}

impl LocalService {
    pub(crate) fn new() -> Self {
        Self {
            active: AtomicU32::new(1),
            shred: Mutex::default(),
            calls: AtomicU64::new(0),
            down: AtomicBool::new(false),
            reports: Mutex::default(),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        }
    }

    pub(crate) fn rotate(&self) {
        self.active.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn erase(&self, shred: &ShredUse) {
        let name = format!("{:?}", shred.identity());
        self.shred.lock().unwrap().insert(name, None);
    }

    pub(crate) fn rewrap(&self, wrapped: &WrappedDataKey, context: &KeyContext) -> WrappedDataKey {
        let key = self.open(wrapped, context).unwrap();
        let secrets = wrapped.header().secrets.iter();
        let secrets = secrets.map(|secret| (secret.kind as u8 + 1, secret.id));
        self.wrap(&key, &secrets.collect::<Vec<_>>(), context)
    }

    fn version_key(version: u32, header: &[u8], context: &KeyContext) -> (Key, Vec<u8>) {
        let mut bytes = [0x5A; 32];
        bytes[..4].copy_from_slice(&version.to_be_bytes());
        (Key::new(&bytes), [header, &context.canonical()].concat())
    }

    fn wrap(
        &self,
        key: &DataKey,
        secrets: &[(u8, [u8; 16])],
        context: &KeyContext,
    ) -> WrappedDataKey {
        let version = self.active.load(Ordering::SeqCst);
        let mut bytes = header([9; 16], version, secrets);
        let (version_key, context) = Self::version_key(version, &bytes, context);
        let salt = Salt::random().unwrap();
        let message = cobblestone::seal(&version_key, &context, &salt, key.expose_bytes());
        bytes.extend_from_slice(&message.unwrap());
        WrappedDataKey::parse(&bytes).unwrap()
    }

    fn open(&self, wrapped: &WrappedDataKey, context: &KeyContext) -> Result<DataKey, Error> {
        let known = self.shred.lock().unwrap();
        let known: Vec<_> = known.values().flatten().collect();
        let secrets = &wrapped.header().secrets;
        if !secrets.iter().all(|secret| known.contains(&&secret.id)) {
            return Err(refused(ErrorKind::Erased));
        }
        let at = 23 + 17 * secrets.len();
        let (header, message) = wrapped.as_bytes().split_at(at);
        let (key, context) = Self::version_key(wrapped.header().version, header, context);
        let opened = cobblestone::open(&key, &context, message)?;
        Ok(DataKey::from_slice(&opened).unwrap())
    }

    fn secret(&self, shred: &ShredUse) -> Result<(u8, [u8; 16]), Error> {
        let mut known = self.shred.lock().unwrap();
        let name = format!("{:?}", shred.identity());
        let create = shred.proto().create_if_absent;
        let number = match shred.kind() {
            SecretKind::Subject => 1,
            SecretKind::Account => 2,
            SecretKind::Period => 3,
        };
        match known.get(&name) {
            Some(Some(id)) => Ok((number, *id)),
            Some(None) => Err(refused(ErrorKind::Erased)),
            None if create => {
                let id = random();
                known.insert(name, Some(id));
                Ok((number, id))
            }
            None => Err(refused(ErrorKind::Precondition)),
        }
    }

    async fn enter(&self) -> Result<(), Error> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        if self.down.load(Ordering::SeqCst) {
            return Err(refused(ErrorKind::Unavailable));
        }
        Ok(())
    }
}

impl KeySource for LocalService {
    async fn report_uses(&self, uses: &[CachedUse<'_>], _: u64) -> Result<(), Error> {
        if self.down.load(Ordering::SeqCst) {
            return Err(refused(ErrorKind::Unavailable));
        }
        let told =
            |used: &CachedUse<'_>| (used.uses, used.first_ago.as_secs(), used.last_ago.as_secs());
        let mut told: Vec<_> = uses.iter().map(told).collect();
        told.sort_unstable();
        self.reports.lock().unwrap().push(told);
        Ok(())
    }

    async fn generate(&self, requests: &[DataKeyRequest]) -> Vec<Result<GeneratedDataKey, Error>> {
        let entered = self.enter().await;
        let answers = requests.iter().map(|request| {
            entered.clone()?;
            let secrets = request.shred().iter().map(|shred| self.secret(shred));
            let mut secrets = secrets.collect::<Result<Vec<_>, Error>>()?;
            secrets.sort_unstable();
            let data_key = DataKey::from_slice(&random::<DATA_KEY_LEN>()).unwrap();
            let wrapped = self.wrap(&data_key, &secrets, request.key_context());
            Ok(GeneratedDataKey { data_key, wrapped })
        });
        answers.collect()
    }

    async fn unwrap_fresh(
        &self,
        requests: &[UnwrapRequest],
    ) -> Vec<Result<UnwrappedDataKey, Error>> {
        let entered = self.enter().await;
        let answers = requests.iter().map(|request| {
            entered.clone()?;
            let version = request.wrapped.header().version;
            Ok(UnwrappedDataKey {
                data_key: self.open(&request.wrapped, &request.key_context)?,
                dataset: "datasets/customers".into(),
                version,
                version_active: version == self.active.load(Ordering::SeqCst),
                version_compromised: false,
            })
        });
        answers.collect()
    }
}
