//! The bytes that the system has taken from a connection, and has not sent, or whose arrival it does not know of.

use std::{ffi::c_int, os::fd::AsFd};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Result,
    ioctl::{Getter, Opcode, ioctl},
};
use socket2::SockRef;
use tokio::{net::TcpStream, time::Instant};

/// A socket, or a stream around one.
pub(crate) trait Socket {
    /// Whether the system holds bytes of this connection that it has not sent, since the client's window has no room for them. When a
    /// socket is closed that the client still writes to, the client loses them.
    fn has_unsent(&self) -> bool;

    /// The number of written bytes of which the client's system has said that they have come; always 0 where this system does not
    /// know.
    fn taken(&self) -> u64;

    /// When bytes of the client were last read; `None`: never, or this stream does not note it.
    fn last_read(&self) -> Option<Instant> {
        None
    }
}

/// Implements `Socket` for a wrapper by the methods of the stream that it holds: `forward_socket!(Wrapper, this => this.io)`.
macro_rules! forward_socket {
    ($wrapper:ident, $this:ident => $io:expr) => {
        impl<T: $crate::io::Socket> $crate::io::Socket for $wrapper<T> {
            fn has_unsent(&self) -> bool {
                let $this = self;
                $io.has_unsent()
            }

            fn taken(&self) -> u64 {
                let $this = self;
                $io.taken()
            }

            fn last_read(&self) -> Option<tokio::time::Instant> {
                let $this = self;
                $io.last_read()
            }
        }
    };
}

pub(super) use forward_socket;

/// See [`Socket::has_unsent`].
pub(super) fn has_unsent(stream: &TcpStream) -> bool {
    /// The system then takes bytes only when it has sent all that it has.
    const NOTHING: u32 = 1;
    /// The limit that the system's settings give.
    const DEFAULT: u32 = 0;
    let socket = SockRef::from(stream);
    // Nothing is waited for where the system cannot tell. A socket whose connection has failed counts as writable.
    if socket.set_tcp_notsent_lowat(NOTHING).is_err() {
        return false;
    }
    let is_writable = is_writable(stream);
    let _ = socket.set_tcp_notsent_lowat(DEFAULT);
    matches!(is_writable, Ok(false))
}

fn is_writable(socket: &TcpStream) -> Result<bool> {
    let mut polled = [PollFd::new(socket, PollFlags::OUT)];
    Ok(poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? > 0)
}

/// See [`Socket::taken`]. `written`: the bytes that the system has taken from this side.
pub(super) fn taken(stream: impl AsFd, written: u64) -> u64 {
    unacknowledged(stream).map_or(0, |held| written.saturating_sub(held as u64))
}

/// The number of written bytes of which the client's system has not said that they have come; of a Unix domain socket, about the
/// number that the client has not read.
///
/// # Errors
/// Those of the system.
#[expect(unsafe_code, reason = "no library asks for this number")]
fn unacknowledged(stream: impl AsFd) -> Result<usize> {
    /// `SIOCOUTQ`: see tcp(7) and unix(7).
    const OUT_QUEUE: Opcode = 0x5411;
    // SAFETY: for this request the kernel writes an int, and reads nothing.
    let bytes = unsafe { ioctl(stream, Getter::<OUT_QUEUE, c_int>::new()) }?;
    Ok(usize::try_from(bytes).unwrap_or(0))
}

#[cfg(test)]
impl Socket for tokio::io::DuplexStream {
    fn has_unsent(&self) -> bool {
        false
    }

    fn taken(&self) -> u64 {
        0
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
        assert!(!has_unsent(&server));
        server.write_all(b"some bytes, for which the client has room").await.expect("it is open");
        // The client does not read: the system takes bytes until its buffer is full.
        let mut written = 41;
        while let Ok(more) = timeout(Duration::from_millis(200), server.write(&[0; 1 << 16])).await {
            written += more.expect("it is open");
        }
        assert!(has_unsent(&server));
        let mut bytes = vec![0; written];
        client.read_exact(&mut bytes).await.expect("it is open");
        while has_unsent(&server) {
            sleep(Duration::from_millis(1)).await;
        }
        // The limit is as it was: a write of many bytes is taken in whole.
        let many = timeout(Duration::from_secs(60), server.write(&[0; 1 << 17])).await.expect("there is room");
        assert_eq!(many.expect("it is open"), 1 << 17);
    }
}
