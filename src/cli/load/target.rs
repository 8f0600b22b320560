//! The server under load: where it is, connections to it, and its process.

use std::{fmt, io, net::SocketAddr, path::PathBuf, sync::Arc};

use evenkeel_client::{self as client, Access};
use evenkeel_load::{Connection, Lost, Reference, Request};
use procfs::{
    net::TcpState,
    process::{FDTarget, all_processes},
};
use tokio::net::{TcpStream, UnixStream};
use tonic::codegen::http::Uri;

use crate::cli::{
    error::{Error, causes},
    security::SecurityArgs,
    tasks::blocking,
};

const FLAG: &str = "--server (EVENKEEL_SERVER)";

/// A server, and how it is reached.
#[derive(Clone, Debug)]
pub(super) struct Target {
    at: At,
    access: Access,
}

/// The address of a server.
#[derive(Clone, Debug)]
enum At {
    /// A port of TCP.
    Tcp {
        /// Host and port.
        authority: String,
        is_encrypted: bool,
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
    /// Takes an address and what the server wants as all commands take them. The files of `security` are read.
    pub(super) async fn new(server: &str, security: &SecurityArgs) -> Result<Self, Error> {
        let url = security.url(server)?;
        let at = At::parse(&url)?;
        let builder = security.apply(client::Client::builder()).await?;
        let access = blocking(move || Ok(builder.access(&url))).await?;
        let access = access.map_err(|error| Error::of_connection(security.explain(error)))?;
        Ok(Self { at, access })
    }

    /// The value of the header `authorization`, if there is a token.
    pub(super) fn authorization(&self) -> Option<&str> {
        self.access.authorization()
    }

    /// Whether connections are encrypted.
    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self.at, At::Tcp { is_encrypted: true, .. })
    }

    /// The value of the header `:authority`.
    pub(super) fn authority(&self) -> &str {
        self.at.authority()
    }

    /// Opens a connection.
    pub(super) async fn connect(&self, request: Arc<Request>, reference: Reference) -> Result<Connection, Lost> {
        if let Some(socket) = self.access.connect_tls().await {
            let socket = socket.map_err(|error| Lost(causes(&*error)))?;
            return Connection::open(socket, request, reference).await;
        }
        match &self.at {
            At::Tcp { authority, .. } => {
                let socket = TcpStream::connect(authority).await?;
                socket.set_nodelay(true)?;
                Connection::open(socket, request, reference).await
            }
            At::Unix(path) => Connection::open(UnixStream::connect(path).await?, request, reference).await,
        }
    }

    async fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        tokio::net::lookup_host(self.authority()).await.map(Iterator::collect)
    }

    /// The process that listens there, if it is on this machine.
    pub(super) async fn process(&self) -> Process {
        let unknown = |reason: &str| Process::Unknown(reason.to_owned());
        let inodes = match &self.at {
            At::Unix(path) => procfs::net::unix().map(|sockets| {
                let theirs = |socket: &procfs::net::UnixNetEntry| socket.path.as_ref() == Some(path);
                sockets.into_iter().filter(theirs).map(|socket| socket.inode).collect::<Vec<_>>()
            }),
            At::Tcp { .. } => {
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

impl At {
    /// Reads a URL.
    fn parse(url: &str) -> Result<Self, Error> {
        if let Some(path) = url.strip_prefix("unix:") {
            return Ok(Self::Unix(path.strip_prefix("//").unwrap_or(path).into()));
        }
        let uri: Uri = url.parse().map_err(|error| Error::usage(FLAG, format!("{error}")))?;
        let is_encrypted = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_encrypted { 443 } else { 80 });
        Ok(Self::Tcp { authority: format!("{}:{port}", uri.host().unwrap_or_default()), is_encrypted })
    }

    fn authority(&self) -> &str {
        match self {
            Self::Tcp { authority, .. } => authority,
            Self::Unix(_) => "localhost",
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
        match &self.at {
            At::Tcp { authority, .. } => f.write_str(authority),
            At::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn target(server: &str) -> Result<Target, Error> {
        Target::new(server, &SecurityArgs::default()).await
    }

    #[tokio::test]
    async fn addresses_are_those_of_the_other_commands() {
        for (server, authority) in [
            ("localhost:1", "localhost:1"),
            ("http://[::1]:5", "[::1]:5"),
            ("http://a", "a:80"),
            ("unix:/run/a", "localhost"),
        ] {
            assert_eq!(target(server).await.expect(server).authority(), authority);
        }
        let At::Tcp { authority, is_encrypted: true } = At::parse("https://a").expect("a URL") else {
            panic!("it is encrypted")
        };
        assert_eq!(authority, "a:443");
        let error = target("nonsense").await.expect_err("it has no port");
        assert!(error.is_usage() && error.to_string().contains("HOST:PORT"), "{error}");
        let parsed = target("unix:///run/a").await.expect("a path");
        assert_eq!(parsed.to_string(), "unix:/run/a");
    }

    #[tokio::test]
    async fn the_process_that_listens_is_found() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let here = target(&listener.local_addr().expect("it is bound").to_string()).await.expect("an address");
        assert_eq!(here.process().await, Process::Found(std::process::id()));
        drop(listener);
        assert!(matches!(here.process().await, Process::Unknown(_)));
        let far = target("192.0.2.1:1").await.expect("an address");
        assert!(matches!(far.process().await, Process::Unknown(reason) if reason.contains("another machine")));
    }
}
