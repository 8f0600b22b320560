//! The address that a server listens on: a TCP port, or a Unix domain socket.

use std::{
    fmt, io,
    net::{SocketAddr, ToSocketAddrs as _},
    path::PathBuf,
    str::FromStr,
};

/// The prefix of a Unix domain socket's path.
const UNIX: &str = "unix:";

/// An address to listen on. As text: `127.0.0.1:50051`, `[::1]:50051`, `localhost:50051`, or `unix:PATH`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// An IP address and a TCP port.
    Tcp(SocketAddr),
    /// A Unix domain socket, by its path. Only programs on the same machine can connect, and the file's permissions say
    /// which of them.
    Unix(PathBuf),
}

impl Address {
    /// The URL that a client connects to: `http://127.0.0.1:50051`, or `https://` if `tls` is set. That of a Unix
    /// domain socket is `unix:PATH`, as gRPC writes it in every language, and has no TLS.
    pub fn url(&self, tls: bool) -> String {
        match self {
            Self::Tcp(address) => format!("{}://{address}", if tls { "https" } else { "http" }),
            Self::Unix(_) => self.to_string(),
        }
    }

    /// Whether only programs on this machine can connect: a loopback address, or a Unix domain socket.
    pub fn is_local(&self) -> bool {
        self.tcp().is_none_or(|address| address.ip().to_canonical().is_loopback())
    }

    /// The IP address and port; `None` for a Unix domain socket.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

/// The reason why a text is not an address.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// Neither a host with a port nor `unix:PATH`.
    #[error("expected HOST:PORT or unix:PATH")]
    NoPort,
    /// The name of the host has no address.
    #[error("expected HOST:PORT or unix:PATH: the host '{host}' has no address{}", .source.as_ref().map(|source| format!(": {source}")).unwrap_or_default())]
    Host {
        /// The name.
        host: String,
        /// The error of the system's resolver, if it failed.
        source: Option<io::Error>,
    },
    /// There is no path after `unix:`.
    #[error("expected a path after '{UNIX}'")]
    NoPath,
}

impl FromStr for Address {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text.strip_prefix(UNIX) {
            Some("" | "//") => Err(ParseError::NoPath),
            // `unix:///run/evenkeel.sock` is how gRPC writes an absolute path as a URL.
            Some(path) => Ok(Self::Unix(path.strip_prefix("//").unwrap_or(path).into())),
            None => resolve(text).map(Self::Tcp),
        }
    }
}

/// The address of `IP:PORT` or `HOST:PORT`. A host's first IPv4 address is taken, or its first if it has none: a server on
/// `localhost` is found at 127.0.0.1, whatever the order in which the system lists its addresses.
///
/// # Errors
/// [`ParseError`] if there is no port, or no such host.
pub fn resolve(text: &str) -> Result<SocketAddr, ParseError> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (host, port) = text.rsplit_once(':').ok_or(ParseError::NoPort)?;
    let port: u16 = port.parse().map_err(|_| ParseError::NoPort)?;
    if host.is_empty() || host.contains([':', '/', '@', '[', ']']) || host.contains(char::is_whitespace) {
        return Err(ParseError::NoPort);
    }
    let no_address = |source| ParseError::Host { host: host.to_owned(), source };
    let addresses: Vec<SocketAddr> = (host, port).to_socket_addrs().map_err(|error| no_address(Some(error)))?.collect();
    let first = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
    first.copied().ok_or_else(|| no_address(None))
}

/// As [`resolve`], for a server that listens on TCP alone.
///
/// # Errors
/// A message as that of [`ParseError`], without the Unix domain socket.
pub fn resolve_tcp(text: &str) -> Result<SocketAddr, String> {
    const EXPECTED: &str = "expected HOST:PORT";
    if text.starts_with(UNIX) {
        return Err(format!(
            "{EXPECTED}, and no Unix domain socket: 127.0.0.1:0 takes a port that only this machine reaches"
        ));
    }
    resolve(text).map_err(|error| match error {
        ParseError::NoPort | ParseError::NoPath => EXPECTED.to_owned(),
        ParseError::Host { .. } => error.to_string().replacen(" or unix:PATH", "", 1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_way_through_text() {
        for text in ["127.0.0.1:50051", "[::1]:0", "unix:relative.sock", "unix:/run/evenkeel.sock"] {
            let address: Address = text.parse().expect(text);
            assert_eq!(address.to_string(), text);
        }
        assert!(matches!("unix:///run/a".parse(), Ok(Address::Unix(path)) if path.as_os_str() == "/run/a"));
        let by_name: Address = "localhost:7".parse().expect("every machine has a loopback interface");
        assert!(by_name.tcp().is_some_and(|address| address.ip().is_loopback() && address.port() == 7));
    }

    #[test]
    fn clients_get_a_url() {
        for (text, plain, encrypted) in [
            ("127.0.0.1:1", "http://127.0.0.1:1", "https://127.0.0.1:1"),
            ("[::1]:1", "http://[::1]:1", "https://[::1]:1"),
            ("unix:/run/a", "unix:/run/a", "unix:/run/a"),
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!((address.url(false).as_str(), address.url(true).as_str()), (plain, encrypted));
        }
    }

    #[test]
    fn what_is_no_address_is_told_what_one_is() {
        let without_port =
            ["", "localhost", "127.0.0.1", "unix", "/run/a", "localhost:", ":1", "http://a:1", "::1:1", "a b:1"];
        for text in without_port.into_iter().chain(["localhost:70000", "host.invalid:1"]) {
            let error = text.parse::<Address>().expect_err(text);
            assert!(error.to_string().starts_with("expected HOST:PORT or unix:PATH"), "{error}");
        }
        for text in ["unix:", "unix://"] {
            assert!(matches!(text.parse::<Address>(), Err(ParseError::NoPath)));
        }
    }
}
