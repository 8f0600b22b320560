//! How connections are encrypted, and the certificate and the token that the client sends.

#[cfg(feature = "tls")]
mod access;
#[cfg(feature = "tls")]
mod connector;
mod last_words;
mod route;
#[cfg(feature = "tls")]
mod tls;

use std::{fmt, net::IpAddr};

use tonic::{
    codegen::http::Uri,
    metadata::{Ascii, MetadataValue},
    transport::Endpoint,
};

#[cfg(feature = "tls")]
pub use self::access::Access;
pub(crate) use self::{last_words::LastWords, route::Route};
use crate::{Builder, Error};

/// The settings of a [`Builder`] for encryption and authentication.
#[derive(Clone, Debug, Default)]
pub(crate) struct Security {
    #[cfg(feature = "tls")]
    tls: tls::Tls,
    token: Option<Secret>,
    allow_plaintext: bool,
}

/// A text that `Debug` does not show.
#[derive(Clone)]
struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Builder {
    /// The token that every call carries, as `authorization: Bearer TOKEN`. It goes to another machine only over TLS, unless
    /// [`allow_plaintext`](Self::allow_plaintext) is set. A token consists of visible ASCII characters: trim the line break of a
    /// file. Default: none.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.security.token = Some(Secret(token.into()));
        self
    }

    /// Whether the token may go to another machine without TLS, so that anyone on the network path can read it and call with it.
    /// Default: false.
    pub fn allow_plaintext(mut self, allow_plaintext: bool) -> Self {
        self.security.allow_plaintext = allow_plaintext;
        self
    }
}

/// How requests get to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// By TLS.
    Encrypted,
    /// Without leaving this machine.
    Local,
    /// In plain text.
    Plain,
}

impl Way {
    fn to(url: &str) -> Self {
        // As tonic tells a path from a URL.
        if url.starts_with("unix:") {
            return Self::Local;
        }
        let Ok(uri) = url.parse::<Uri>() else { return Self::Plain };
        let host = uri.host().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_loopback = |host: &str| host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
        if uri.scheme_str() == Some("https") {
            Self::Encrypted
        } else if host.eq_ignore_ascii_case("localhost") || is_loopback(host) {
            Self::Local
        } else {
            Self::Plain
        }
    }
}

impl Security {
    /// The route to `url`, whose endpoint is given and gets its settings from `configure`; encrypted if the URL is https://.
    ///
    /// # Errors
    /// [`Error::Setting`] if a setting cannot be used, or not with this URL.
    pub(crate) fn route(
        &self,
        url: &str,
        endpoint: Endpoint,
        configure: impl FnOnce(Endpoint) -> Result<Endpoint, Error>,
    ) -> Result<Route, Error> {
        self.authorization()?;
        let way = Way::to(url);
        if way == Way::Plain && self.token.is_some() && !self.allow_plaintext {
            let reason = format!(
                "{url} is another machine, and the token would not be encrypted: take https://, or allow_plaintext if \
                 the network can be trusted"
            );
            return Err(Error::setting("token", reason));
        }
        match way {
            Way::Encrypted => self.encrypted(url, endpoint, configure),
            Way::Local | Way::Plain => self.plain(url, configure(endpoint)?),
        }
    }

    #[cfg(feature = "tls")]
    fn encrypted(
        &self,
        _: &str,
        endpoint: Endpoint,
        configure: impl FnOnce(Endpoint) -> Result<Endpoint, Error>,
    ) -> Result<Route, Error> {
        let last_words = LastWords::default();
        let connector = self.tls.connector(endpoint.uri().clone(), last_words.clone())?;
        let endpoint = configure(connector::stand_in(endpoint))?;
        let tls = connector.tcp(endpoint.get_tcp_nodelay(), endpoint.get_connect_timeout());
        Ok(Route { endpoint, tls: Some(tls), last_words })
    }

    /// An error: without the feature `tls`, tonic would speak plain text to an https:// address.
    #[cfg(not(feature = "tls"))]
    fn encrypted(
        &self,
        url: &str,
        _: Endpoint,
        _: impl FnOnce(Endpoint) -> Result<Endpoint, Error>,
    ) -> Result<Route, Error> {
        Err(Error::setting("url", format!("{url} needs the feature `tls` of the crate evenkeel-client")))
    }

    #[cfg(feature = "tls")]
    fn plain(&self, url: &str, endpoint: Endpoint) -> Result<Route, Error> {
        match self.tls.any() {
            None => Ok(Route { endpoint, tls: None, last_words: LastWords::default() }),
            Some(setting) => {
                Err(Error::setting(setting, format!("{url} is not encrypted: TLS needs an https:// address")))
            }
        }
    }

    #[cfg(not(feature = "tls"))]
    fn plain(&self, _: &str, endpoint: Endpoint) -> Result<Route, Error> {
        Ok(Route { endpoint, last_words: LastWords::default() })
    }

    /// The value of `authorization`, marked as sensitive; `None`: there is no token.
    ///
    /// # Errors
    /// [`Error::Setting`] if the token has characters that a token cannot have.
    pub(crate) fn authorization(&self) -> Result<Option<MetadataValue<Ascii>>, Error> {
        let Some(Secret(token)) = &self.token else { return Ok(None) };
        let is_visible = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        let value = is_visible.then(|| format!("Bearer {token}").parse::<MetadataValue<Ascii>>().ok()).flatten();
        let Some(mut value) = value else {
            let reason = "it must be visible ASCII characters, at least one, without spaces and line breaks";
            return Err(Error::setting("token", reason));
        };
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_the_machine_is_known() {
        for (url, way) in [
            ("https://10.0.0.1:1", Way::Encrypted),
            ("HTTPS://localhost", Way::Encrypted),
            ("http://127.0.0.1:50051", Way::Local),
            ("http://127.9.9.9:50051", Way::Local),
            ("http://LocalHost:1", Way::Local),
            ("http://[::1]:1", Way::Local),
            ("http://[::ffff:127.0.0.1]:1", Way::Local),
            ("unix:/run/evenkeel.sock", Way::Local),
            ("unix:///run/evenkeel.sock", Way::Local),
            ("http://10.0.0.1:1", Way::Plain),
            ("http://localhost.example.com:1", Way::Plain),
            ("http://127.0.0.1.example.com:1", Way::Plain),
            ("http://127.0.0.1@example.com:1", Way::Plain),
            ("http://[2001:db8::1]:1", Way::Plain),
            ("example.com:1", Way::Plain),
            ("not a url", Way::Plain),
        ] {
            assert_eq!(Way::to(url), way, "{url}");
        }
    }
}
