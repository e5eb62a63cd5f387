//! Taking an address. Bound before anything else is opened: a second daemon ends without touching the data.

use super::failure::{Failure, FailureKind};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

/// Binds the address; with port 0 the operating system chooses one.
///
/// # Errors
/// [`FailureKind::PortInUse`] when another program has it.
pub fn bind(listen: SocketAddr) -> Result<(TcpListener, SocketAddr), Failure> {
    let bound = TcpListener::bind(listen).and_then(|listener| {
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    bound.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => Failure::new(
            FailureKind::PortInUse,
            format!("{listen} is in use by another program: stop it, or listen elsewhere"),
        ),
        ErrorKind::PermissionDenied => Failure::new(
            FailureKind::Permissions,
            format!("this user may not listen on {listen}"),
        ),
        _ => Failure::new(
            FailureKind::Other,
            format!("cannot listen on {listen}: {error}"),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_once() {
        let (first, address) = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let failure = bind(address).unwrap_err();
        assert_eq!(failure.kind, FailureKind::PortInUse);
        assert!(failure.message.contains(&address.to_string()), "{failure}");
        drop(first);
    }

    #[test]
    fn an_address_of_another_machine_is_named() {
        let failure = bind("192.0.2.1:1".parse().unwrap()).unwrap_err();
        assert!(failure.message.starts_with("cannot listen on 192.0.2.1:1"));
    }
}
