//! Renews a client's certificate while the client lives: at two thirds of its life, and again every while as long as
//! that fails. The client's connections see the new file by themselves.

use super::{renew, validity};
use crate::client::Client;
use crate::error::Error;
use crate::profile::Profile;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// The file is looked at this often: another program may have renewed it, and wall time may have leapt.
const LOOK_EVERY: Duration = Duration::from_secs(60 * 60);
/// After a renewal or a failed one.
const AGAIN_AFTER: Duration = Duration::from_secs(10 * 60);

/// Ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Keeper {
    task: JoinHandle<()>,
    /// Counts the renewals.
    pub renewals: watch::Receiver<u64>,
}

impl Keeper {
    /// Begins; inside a runtime.
    pub(crate) fn start(profile: &Profile) -> Self {
        let counted = watch::Sender::new(0);
        let renewals = counted.subscribe();
        // a connection of its own, for the moment that it takes
        let profile = Profile {
            renew: false,
            connections: 1,
            operator: None,
            ..profile.clone()
        };
        Self {
            task: tokio::spawn(keep(profile, counted)),
            renewals,
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep(profile: Profile, renewals: watch::Sender<u64>) {
    loop {
        let due = validity(&profile).map(|validity| {
            let left = validity.due().duration_since(SystemTime::now());
            left.unwrap_or_default()
        });
        match due {
            Ok(Duration::ZERO) => {
                if once(&profile).await.is_ok() {
                    renewals.send_modify(|count| *count += 1);
                }
                sleep(AGAIN_AFTER).await;
            }
            Ok(left) => sleep(left.min(LOOK_EVERY)).await,
            Err(_) => sleep(LOOK_EVERY).await,
        }
    }
}

async fn once(profile: &Profile) -> Result<(), Error> {
    let client = Client::connect(profile).await?;
    renew(&client, profile).await.map(drop)
}
