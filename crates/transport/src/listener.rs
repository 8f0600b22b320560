//! Listening on a TCP port or on a Unix domain socket.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::{
    fs::Mode,
    io::Errno,
    net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType},
};
use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixSocket};

use crate::{
    io::{CountedUnix, ProbingTcp, Stream},
    keep_alive::KeepAlive,
};

/// Only programs of the server's own user can connect. An operator who wants more changes the file's mode.
const SOCKET_MODE: u32 = 0o600;

/// The connections that the kernel keeps until they are accepted; `net.core.somaxconn` may be less. It drops further ones
/// silently, and a client that waits for the server to speak first would wait for ever.
const BACKLOG: u32 = 4096;

/// A socket that clients connect to.
#[derive(Debug)]
pub struct Listener(Socket);

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix { listener: UnixListener, _file: SocketFile },
}

impl Listener {
    /// Listens on a TCP port; port 0 takes a free one.
    ///
    /// # Errors
    /// Errors of the system, such as for a port that is taken.
    pub fn tcp(address: SocketAddr) -> io::Result<Self> {
        listen(address).map(Socket::Tcp).map(Self)
    }

    /// Listens on a Unix domain socket, to which only programs of the same user can connect. The file of a server that has died is
    /// replaced. Dropping the listener removes the file.
    ///
    /// # Errors
    /// Errors of the system, such as for a file that is no socket, or a socket on which another server listens.
    pub fn unix(path: &Path) -> io::Result<Self> {
        remove_stale(path)?;
        let socket = UnixSocket::new_stream()?;
        // The file gets the socket's mode without the bits of the umask. A mode that is set afterwards alone would leave a moment
        // for others to connect.
        rustix::fs::fchmod(&socket, Mode::from_raw_mode(SOCKET_MODE))?;
        socket.bind(path)?;
        let listener = socket.listen(BACKLOG)?;
        let file = SocketFile::of(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE))?;
        Ok(Self(Socket::Unix { listener, _file: file }))
    }

    /// The next connection, with these probes if it is one of TCP.
    pub(crate) async fn accept(&self, keep_alive: Option<KeepAlive>) -> io::Result<Stream> {
        match &self.0 {
            Socket::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Nagle's algorithm would hold the last segment of a response until the one before is acknowledged, for up to 40 ms.
                stream.set_nodelay(true)?;
                if let Some(keep_alive) = keep_alive {
                    keep_alive.set(&stream)?;
                }
                Ok(Stream::Tcp(ProbingTcp::new(stream)))
            }
            Socket::Unix { listener, .. } => Ok(Stream::Unix(CountedUnix::new(listener.accept().await?.0))),
        }
    }

    /// The IP address and port, with the one that was taken if 0 was asked for; `None`: it is a Unix domain socket.
    ///
    /// # Errors
    /// Errors of the system.
    pub fn local_addr(&self) -> io::Result<Option<SocketAddr>> {
        match &self.0 {
            Socket::Tcp(listener) => listener.local_addr().map(Some),
            Socket::Unix { .. } => Ok(None),
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Connections of a server that has just ended may be in TIME_WAIT, and must not keep this one from the port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Removes a socket on which no server listens. A file that is no socket stays, and `bind` fails because of it.
fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    // `bind` tells why a path makes no address.
    let Ok(address) = SocketAddrUnix::new(path) else { return Ok(()) };
    // A server that listens and does not accept may have a full queue, in which a blocking client would wait for ever.
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let client = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match net::connect(&client, &address) {
        Err(Errno::CONNREFUSED) if is_socket => fs::remove_file(path),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The file of a socket, removed when the server ends.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// Device and inode, which tell this file from that of a later server at the same path.
    identity: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: identity(path)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "the socket was not removed");
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let file = fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino()))
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            atomic::{AtomicBool, Ordering},
            mpsc,
        },
        thread,
    };

    use evenkeel_testing::until::NEVER;
    use rustix::process::umask;

    use super::*;

    /// The queue of a server that hangs is full, so that a client would wait.
    #[test]
    fn a_socket_of_a_server_that_hangs_is_in_use() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = folder.path().join("socket");
        let address = SocketAddrUnix::new(&path).expect("the path is short");
        let socket = |flags| net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).expect("a socket");
        let hangs = socket(SocketFlags::empty());
        net::bind(&hangs, &address).expect("the path is free");
        net::listen(&hangs, 0).expect("it is bound");
        let mut clients = Vec::new();
        let full = loop {
            clients.push(socket(SocketFlags::NONBLOCK));
            if let Err(error) = net::connect(clients.last().expect("it was added"), &address) {
                break error;
            }
        };
        assert_eq!(full, Errno::AGAIN);
        let (told, heard) = mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
            let _entered = runtime.enter();
            told.send(Listener::unix(&path).map(drop).map_err(|error| error.kind()))
        });
        let listens = heard.recv_timeout(NEVER).expect("it does not wait for the server that hangs");
        assert_eq!(listens, Err(io::ErrorKind::AddrInUse));
    }

    /// Another thread looks at the file all the time. The umask takes nothing away, so that only the server does.
    #[tokio::test]
    async fn others_can_never_connect_to_a_socket() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = folder.path().join("socket");
        let before = umask(Mode::empty());
        let (done, seen) = (AtomicBool::new(false), AtomicBool::new(false));
        thread::scope(|scope| {
            let watching = scope.spawn(|| {
                let mut widest = 0;
                while !done.load(Ordering::Relaxed) {
                    if let Ok(file) = fs::symlink_metadata(&path) {
                        widest |= file.mode() & 0o777;
                        seen.store(true, Ordering::Relaxed);
                    }
                }
                widest
            });
            for _ in 0..1000 {
                drop(Listener::unix(&path).expect("the socket is there for the taking"));
            }
            // Once more, until it was looked at.
            let last = Listener::unix(&path).expect("the socket is there for the taking");
            seen.store(false, Ordering::Relaxed);
            while !seen.load(Ordering::Relaxed) {
                thread::yield_now();
            }
            done.store(true, Ordering::Relaxed);
            drop(last);
            assert_eq!(format!("{:o}", watching.join().expect("it only looks")), "600");
        });
        umask(before);
    }
}
