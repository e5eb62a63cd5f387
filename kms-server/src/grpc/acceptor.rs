//! Accepts connections within the caps and deals each to the least loaded runtime. Reads no byte of
//! them: a peer that never speaks costs a descriptor until its time is up, nothing more.

use super::runtime::{Accepted, Desk, Shared, Ticket};
use crate::call::road::{Road, Shed};
use kms_core::reason::Reason;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// After an error that will not go away at once: no descriptors, no memory.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Accepts until the daemon ends.
pub(super) async fn accept<R: Road>(
    listener: TcpListener,
    desks: Vec<Desk>,
    shared: Arc<Shared>,
    road: Arc<R>,
) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "the listener cannot be used");
            return;
        }
    };
    let addresses = Addresses::default();
    let mut ending = shared.ending.subscribe();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = ending.wait_for(|ending| *ending) => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Err(reason) = deal(stream, peer, &desks, &shared, &addresses) {
                    let source = peer.ip().to_canonical();
                    road.shed(Shed { source, reason });
                }
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted");
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

fn deal(
    stream: tokio::net::TcpStream,
    peer: SocketAddr,
    desks: &[Desk],
    shared: &Shared,
    addresses: &Addresses,
) -> Result<(), Reason> {
    let connection = shared.connections.take(1);
    let address = addresses.take(peer.ip(), shared.limits.connections_per_address);
    let (Some(connection), Some(address)) = (connection, address) else {
        return Err(Reason::ResourceExhausted);
    };
    let desk = desks
        .iter()
        .min_by_key(|desk| desk.load.load(Ordering::Relaxed))
        .ok_or(Reason::Internal)?;
    desk.load.fetch_add(1, Ordering::Relaxed);
    let ticket = Ticket {
        _connection: connection,
        _address: address,
        load: Arc::clone(&desk.load),
    };
    // small answers must not wait for an acknowledgement
    let plain = stream.set_nodelay(true).and_then(|()| stream.into_std());
    let accepted = Accepted {
        stream: plain.map_err(|_| Reason::Unauthenticated)?,
        peer,
        number: shared.accepted.fetch_add(1, Ordering::Relaxed) + 1,
        ticket,
    };
    // its runtime is gone only when the daemon ends
    desk.connections
        .send(accepted)
        .map_err(|_| Reason::ShuttingDown)
}

/// The peer gave up before it was accepted: the next one may be well.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// Open connections by address.
#[derive(Debug, Default, Clone)]
pub(super) struct Addresses(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection of an address, until it is dropped.
#[derive(Debug)]
pub(super) struct AddressPermit {
    addresses: Addresses,
    network: IpAddr,
}

impl Addresses {
    fn take(&self, address: IpAddr, most: usize) -> Option<AddressPermit> {
        let network = network(address);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(network).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(AddressPermit {
            addresses: self.clone(),
            network,
        })
    }
}

impl Drop for AddressPermit {
    fn drop(&mut self) {
        let mut counts = self
            .addresses
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.network) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.network);
            }
        }
    }
}

/// An IPv4 address by itself; of IPv6 the /64, which is what one customer gets.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_by_network() {
        let addresses = Addresses::default();
        let a: IpAddr = "2001:db8::1".parse().unwrap();
        let b: IpAddr = "2001:db8::2:1".parse().unwrap();
        let c: IpAddr = "2001:db8:0:1::1".parse().unwrap();
        let first = addresses.take(a, 2).unwrap();
        let second = addresses.take(b, 2).unwrap();
        assert!(addresses.take(a, 2).is_none());
        assert!(addresses.take(c, 2).is_some());
        drop(first);
        assert!(addresses.take(b, 2).is_some());
        drop(second);
        assert!(addresses.0.lock().unwrap().is_empty());
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        assert_eq!(network(mapped), "192.0.2.1".parse::<IpAddr>().unwrap());
    }
}
