//! The bytes that the system has taken from a connection, and has not sent.

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Result,
};
use socket2::SockRef;
use tokio::net::TcpStream;

/// A socket, or a stream around one.
pub(crate) trait Socket {
    /// Whether the system holds bytes of this connection that it has not sent, since the client's window has no room for them. When a
    /// socket is closed that the client still writes to, the client loses them.
    fn has_unsent(&self) -> bool;
}

impl Socket for TcpStream {
    fn has_unsent(&self) -> bool {
        /// The system then takes bytes only when it has sent all that it has.
        const NOTHING: u32 = 1;
        /// The limit that the system's settings give.
        const DEFAULT: u32 = 0;
        let socket = SockRef::from(self);
        // Nothing is waited for where the system cannot tell. A socket whose connection has failed counts as writable.
        if socket.set_tcp_notsent_lowat(NOTHING).is_err() {
            return false;
        }
        let is_writable = is_writable(self);
        let _ = socket.set_tcp_notsent_lowat(DEFAULT);
        matches!(is_writable, Ok(false))
    }
}

fn is_writable(socket: &TcpStream) -> Result<bool> {
    let mut polled = [PollFd::new(socket, PollFlags::OUT)];
    Ok(poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? > 0)
}

#[cfg(test)]
impl Socket for tokio::io::DuplexStream {
    fn has_unsent(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        time::{sleep, timeout},
    };

    use super::*;

    #[tokio::test]
    async fn bytes_are_unsent_until_the_client_takes_them() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let (near, far) =
            tokio::join!(TcpStream::connect(listener.local_addr().expect("it is bound")), listener.accept());
        let (mut client, (mut server, _)) = (near.expect("it listens"), far.expect("a client came"));
        assert!(!server.has_unsent());
        server.write_all(b"some bytes, for which the client has room").await.expect("it is open");
        // The client does not read: the system takes bytes until its buffer is full.
        let mut written = 41;
        while let Ok(more) = timeout(Duration::from_millis(200), server.write(&[0; 1 << 16])).await {
            written += more.expect("it is open");
        }
        assert!(server.has_unsent());
        let mut bytes = vec![0; written];
        client.read_exact(&mut bytes).await.expect("it is open");
        while server.has_unsent() {
            sleep(Duration::from_millis(1)).await;
        }
        // The limit is as it was: a write of many bytes is taken in whole.
        let many = timeout(Duration::from_secs(60), server.write(&[0; 1 << 17])).await.expect("there is room");
        assert_eq!(many.expect("it is open"), 1 << 17);
    }
}
