//! Where a server listens: a TCP port, or a Unix domain socket.

use std::{
    fmt,
    net::{AddrParseError, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

/// What precedes the path of a Unix domain socket.
const UNIX: &str = "unix:";

/// An address to listen on. As text: `127.0.0.1:50051`, `[::1]:50051`, or `unix:PATH`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// An IP address and a TCP port.
    Tcp(SocketAddr),
    /// A Unix domain socket, which is a file. Only programs on the same machine reach it, and only those that its
    /// permissions let.
    Unix(PathBuf),
}

impl Address {
    /// Where a client connects: `http://127.0.0.1:50051`, `https://` if what listens there speaks TLS, or `unix:PATH`, as
    /// gRPC has it in every language; there is no TLS.
    pub fn url(&self, tls: bool) -> String {
        match self {
            Self::Tcp(address) => format!("{}://{address}", if tls { "https" } else { "http" }),
            Self::Unix(_) => self.to_string(),
        }
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

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Neither an IP address with a port nor `unix:PATH`.
    #[error("expected IP:PORT or unix:PATH: {0}")]
    Tcp(#[from] AddrParseError),
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
            None => Ok(Self::Tcp(text.parse()?)),
        }
    }
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
        assert_eq!("unix:///run/a".parse(), Ok(Address::Unix("/run/a".into())));
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
        for text in ["", "localhost", "127.0.0.1", "unix", "/run/a"] {
            let error = text.parse::<Address>().expect_err(text);
            assert!(error.to_string().starts_with("expected IP:PORT or unix:PATH"), "{error}");
        }
        for text in ["unix:", "unix://"] {
            assert_eq!(text.parse::<Address>(), Err(ParseError::NoPath));
        }
    }
}
