//! The server under load: where it is, connections to it, and its process.

use std::{fmt, io, net::SocketAddr, path::PathBuf, sync::Arc};

use evenkeel_load::{Connection, Lost, Reference, Request};
use procfs::{
    net::TcpState,
    process::{FDTarget, all_processes},
};
use tokio::net::{TcpStream, UnixStream};
use tonic::codegen::http::Uri;

use crate::cli::{error::Error, security::SecurityArgs};

const FLAG: &str = "--server (EVENKEEL_SERVER)";

/// The address of a server.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// A port of TCP.
    Tcp {
        /// Host and port.
        authority: String,
    },
    /// A socket of a Unix domain.
    Unix(PathBuf),
}

/// The process of a server, and how it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Process {
    /// By a flag.
    Given(u32),
    /// By the socket that it listens on.
    Found(u32),
    /// It is not known, for this reason.
    Unknown(String),
}

impl Target {
    /// Reads an address as all commands take it, but for https://.
    pub(super) fn parse(server: &str) -> Result<Self, Error> {
        let url = SecurityArgs::default().url(server)?;
        if let Some(path) = url.strip_prefix("unix:") {
            return Ok(Self::Unix(path.strip_prefix("//").unwrap_or(path).into()));
        }
        let uri: Uri = url.parse().map_err(|error| Error::usage(FLAG, format!("{error}")))?;
        if uri.scheme_str() == Some("https") {
            return Err(Error::usage(FLAG, "a load is sent in plain text only, and https:// is not"));
        }
        let host = uri.host().unwrap_or_default();
        Ok(Self::Tcp { authority: format!("{host}:{}", uri.port_u16().unwrap_or(80)) })
    }

    /// The value of the header `:authority`.
    pub(super) fn authority(&self) -> &str {
        match self {
            Self::Tcp { authority } => authority,
            Self::Unix(_) => "localhost",
        }
    }

    /// Opens a connection.
    pub(super) async fn connect(&self, request: Arc<Request>, reference: Reference) -> Result<Connection, Lost> {
        match self {
            Self::Tcp { authority } => {
                let socket = TcpStream::connect(authority).await?;
                socket.set_nodelay(true)?;
                Connection::open(socket, request, reference).await
            }
            Self::Unix(path) => Connection::open(UnixStream::connect(path).await?, request, reference).await,
        }
    }

    /// Whether nothing leaves this machine.
    pub(super) async fn is_local(&self) -> io::Result<bool> {
        match self {
            Self::Tcp { .. } => {
                Ok(self.addresses().await?.iter().all(|address| address.ip().to_canonical().is_loopback()))
            }
            Self::Unix(_) => Ok(true),
        }
    }

    async fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        tokio::net::lookup_host(self.authority()).await.map(Iterator::collect)
    }

    /// The process that listens there, if it is on this machine.
    pub(super) async fn process(&self) -> Process {
        let unknown = |reason: &str| Process::Unknown(reason.to_owned());
        let inodes = match self {
            Self::Unix(path) => procfs::net::unix().map(|sockets| {
                let theirs = |socket: &procfs::net::UnixNetEntry| socket.path.as_ref() == Some(path);
                sockets.into_iter().filter(theirs).map(|socket| socket.inode).collect::<Vec<_>>()
            }),
            Self::Tcp { .. } => {
                let addresses = match self.addresses().await {
                    Ok(addresses) => addresses,
                    Err(error) => return Process::Unknown(error.to_string()),
                };
                if !addresses.iter().all(|address| address.ip().to_canonical().is_loopback()) {
                    return unknown("the server is on another machine, or not asked on loopback");
                }
                listening(&addresses)
            }
        };
        match inodes {
            Err(error) => Process::Unknown(format!("the sockets of this machine cannot be read: {error}")),
            Ok(inodes) => match owner(&inodes) {
                Some(pid) => Process::Found(pid),
                None => unknown("no process that may be seen listens there"),
            },
        }
    }
}

/// The inodes of the sockets that listen on one of these addresses.
fn listening(addresses: &[SocketAddr]) -> procfs::ProcResult<Vec<u64>> {
    let mut all = procfs::net::tcp()?;
    // A machine without IPv6 has no such file.
    all.extend(procfs::net::tcp6().unwrap_or_default());
    let listens = |at: &SocketAddr| {
        let is_at =
            |address: &SocketAddr| at.ip().is_unspecified() || at.ip().to_canonical() == address.ip().to_canonical();
        addresses.iter().any(|address| address.port() == at.port() && is_at(address))
    };
    let theirs = all.into_iter().filter(|socket| socket.state == TcpState::Listen && listens(&socket.local_address));
    Ok(theirs.map(|socket| socket.inode).collect())
}

/// The first process that has one of these sockets.
fn owner(inodes: &[u64]) -> Option<u32> {
    let has = |target: &FDTarget| matches!(target, FDTarget::Socket(inode) if inodes.contains(inode));
    all_processes()
        .ok()?
        .filter_map(Result::ok)
        .find_map(|process| {
            let mut descriptors = process.fd().ok()?.filter_map(Result::ok);
            descriptors.any(|descriptor| has(&descriptor.target)).then_some(process.pid)
        })
        .and_then(|pid| u32::try_from(pid).ok())
}

impl Process {
    /// Its number.
    pub(super) fn pid(&self) -> Option<u32> {
        match self {
            Self::Given(pid) | Self::Found(pid) => Some(*pid),
            Self::Unknown(_) => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { authority } => f.write_str(authority),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_the_other_commands() {
        for (server, authority) in [
            ("localhost:1", "localhost:1"),
            ("http://[::1]:5", "[::1]:5"),
            ("http://a", "a:80"),
            ("unix:/run/a", "localhost"),
        ] {
            assert_eq!(Target::parse(server).expect(server).authority(), authority);
        }
        for (server, word) in [("https://a:1", "plain text"), ("nonsense", "HOST:PORT")] {
            let error = Target::parse(server).expect_err(server);
            assert!(error.is_usage() && error.to_string().contains(word), "{error}");
        }
        let parsed = Target::parse("unix:///run/a").expect("a path");
        assert_eq!(parsed.to_string(), "unix:/run/a");
    }

    #[tokio::test]
    async fn the_process_that_listens_is_found() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let target = Target::parse(&listener.local_addr().expect("it is bound").to_string()).expect("an address");
        assert_eq!(target.process().await, Process::Found(std::process::id()));
        assert!(target.is_local().await.expect("it needs no name"));
        drop(listener);
        assert!(matches!(target.process().await, Process::Unknown(_)));
        let far = Target::parse("192.0.2.1:1").expect("an address");
        assert!(matches!(far.process().await, Process::Unknown(reason) if reason.contains("another machine")));
    }
}
