//! A port of loopback that stays ours while nobody listens on it.
//!
//! Between two listeners, or before a process that was told a port has bound it, the system gives a free port to whoever
//! asks next, be it as the source of a connection; with many tests at a time it does. So a socket stays bound to it that
//! never listens: connections are refused, and only who names the port and shares addresses (`SO_REUSEADDR`, as all
//! servers here do) can have it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

/// The port; given back when it is dropped.
pub struct ReservedPort {
    address: SocketAddr,
    _socket: Socket,
}

impl ReservedPort {
    /// Takes one that is free.
    ///
    /// # Errors
    /// Where the system has none.
    pub fn take() -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        let address = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { address, _socket: socket })
    }

    /// Where to listen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_reserved_port_refuses_can_be_listened_on_and_is_given_to_nobody_else() {
        let port = ReservedPort::take().expect("loopback has ports");
        for _ in 0..2 {
            assert!(TcpStream::connect(port.address()).is_err(), "nobody listens");
            let listener = TcpListener::bind(port.address()).expect("it is ours");
            TcpStream::connect(port.address()).expect("somebody listens");
            drop(listener);
        }
        let others: Vec<_> = (0..1000).map_while(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()).collect();
        assert!(!others.is_empty(), "there are others");
        assert!(others.iter().all(|other| other.local_addr().ok() != Some(port.address())), "it was given away");
    }
}
