//! The flags of every command that connects: TLS, and a token.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
};

use clap::Args;
use evenkeel_client::{self as client, Builder};
use tonic::codegen::http::Uri;

use crate::{
    lines::lines,
    read::{self, READ_TIMEOUT},
};

/// The heading of these flags in the help.
pub(super) const HEADING: &str = "TLS and tokens, to reach a server";

/// Encryption and authentication towards a server. Their variables begin with `EVENKEEL_CLIENT_`, since a container's
/// environment has those of the server as well.
#[derive(Args, Clone, Debug, Default)]
pub struct SecurityArgs {
    /// Certificates in PEM, one of which must have signed the server's certificate. Default: those that the system trusts.
    #[arg(long, value_name = "FILE", help_heading = HEADING, env = "EVENKEEL_CLIENT_TLS_CA")]
    pub tls_ca: Option<PathBuf>,

    /// A certificate in PEM, followed by those that it was signed with, for a server that asks for one.
    #[arg(long, value_name = "FILE", help_heading = HEADING, env = "EVENKEEL_CLIENT_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,

    /// The private key of --tls-cert, in PEM.
    #[arg(long, value_name = "FILE", help_heading = HEADING, env = "EVENKEEL_CLIENT_TLS_KEY")]
    pub tls_key: Option<PathBuf>,

    /// The DNS name or IP address that must be in the server's certificate. Default: the host that is connected to.
    #[arg(long, value_name = "NAME", help_heading = HEADING, env = "EVENKEEL_CLIENT_TLS_SERVER_NAME")]
    pub tls_server_name: Option<String>,

    /// A file whose first line that is no comment is the token to send. The token goes to another machine only over TLS.
    #[arg(long, value_name = "FILE", help_heading = HEADING, env = "EVENKEEL_CLIENT_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,

    /// Send the token to another machine without TLS as well.
    #[arg(long, help_heading = HEADING, env = "EVENKEEL_CLIENT_ALLOW_PLAINTEXT")]
    pub allow_plaintext: bool,
}

/// A flag that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{flag}: {reason}")]
pub struct Refused {
    /// The flag, as it is written: `--tls-ca`; and its variable, if that has the value.
    pub flag: String,
    /// What is wrong with its value.
    pub reason: String,
}

impl SecurityArgs {
    /// Whether an address without a scheme is one of TLS.
    pub(super) fn is_tls(&self) -> bool {
        let Self { tls_ca, tls_cert, tls_key, tls_server_name, token_file: _, allow_plaintext: _ } = self;
        tls_ca.is_some() || tls_cert.is_some() || tls_key.is_some() || tls_server_name.is_some()
    }

    /// The files that these flags name.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let Self { tls_ca, tls_cert, tls_key, tls_server_name: _, token_file, allow_plaintext: _ } = self;
        [tls_ca, tls_cert, tls_key, token_file].into_iter().flatten().map(PathBuf::as_path)
    }

    /// The URL of a server that was given as a URL, or as HOST:PORT: then with TLS if a flag for TLS is given.
    ///
    /// # Errors
    /// It is neither. A user's name and a path are refused rather than ignored, since neither would reach a server.
    pub(super) fn url(&self, server: &str) -> Result<String, Refused> {
        const TAKEN: &str = "HOST:PORT, http://HOST:PORT, https://HOST:PORT and unix:PATH are taken";
        let refuse =
            |reason: &str| Err(Refused { flag: "--server (EVENKEEL_SERVER)".to_owned(), reason: reason.to_owned() });
        if let Some(path) = server.strip_prefix("unix:") {
            return if ["", "//"].contains(&path) {
                refuse(&format!("there is no path in '{server}': {TAKEN}"))
            } else {
                Ok(server.to_owned())
            };
        }
        // The message does not repeat the text, which may have a password.
        if server.contains('@') {
            return refuse(&format!("there is a user in it: {TAKEN}"));
        }
        let (url, is_url) = match server.contains("://") {
            true => (server.to_owned(), true),
            false => (format!("{}://{server}", if self.is_tls() { "https" } else { "http" }), false),
        };
        let Ok(uri) = url.parse::<Uri>() else { return refuse(&format!("'{server}' is no address: {TAKEN}")) };
        let host = uri.host().unwrap_or_default();
        let port = uri.authority().and_then(|authority| authority.as_str().strip_prefix(host));
        let has_port = port.and_then(|port| port.strip_prefix(':')).is_some_and(|port| port.parse::<u16>().is_ok());
        let is_host = !host.is_empty() && (host.starts_with('[') || !host.contains(':'));
        let is_whole = is_url && port == Some("") || has_port;
        if !is_host || !is_whole || !["http", "https"].contains(&uri.scheme_str().unwrap_or_default()) {
            return refuse(&format!("'{server}' is no address: {TAKEN}"));
        }
        if uri.path_and_query().is_some_and(|path| path != "/") || url.contains('#') {
            return refuse(&format!("'{server}' has more than an address: {TAKEN}"));
        }
        Ok(url)
    }

    /// Gives a client these settings; their files are read.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(super) async fn apply(&self, mut builder: Builder) -> Result<Builder, Refused> {
        let Self { tls_ca, tls_cert, tls_key, tls_server_name, token_file, allow_plaintext } = self;
        if let Some(path) = tls_ca {
            builder = builder.tls_ca(read("--tls-ca", path).await?);
        }
        if let Some(path) = tls_cert {
            builder = builder.tls_cert(read("--tls-cert", path).await?);
        }
        if let Some(path) = tls_key {
            builder = builder.tls_key(read("--tls-key", path).await?);
        }
        if let Some(name) = tls_server_name {
            builder = builder.tls_server_name(name);
        }
        if let Some(path) = token_file {
            let content = read("--token-file", path).await?;
            // The file may be the server's own, which has a token in each line: the first is taken.
            let refused =
                |reason| Refused { flag: named("--token-file", path), reason: format!("{}: {reason}", path.display()) };
            let tokens = lines(&content).map_err(refused)?;
            let (_, first) = tokens.into_iter().next().ok_or_else(|| refused("there is no token in it".to_owned()))?;
            builder = builder.token(first);
        }
        Ok(builder.allow_plaintext(*allow_plaintext))
    }

    /// A client's error about one of these settings, with the flag's name in place of the setting's. Other errors are
    /// returned as they are.
    pub(super) fn explain(&self, error: client::Error) -> Result<Refused, client::Error> {
        let client::Error::Setting { setting, reason } = error else { return Err(error) };
        let (flag, path) = match setting {
            "tls_ca" => ("--tls-ca", &self.tls_ca),
            "tls_cert" => ("--tls-cert", &self.tls_cert),
            "tls_key" => ("--tls-key", &self.tls_key),
            "tls_server_name" => ("--tls-server-name", &None),
            "token" => ("--token-file", &self.token_file),
            _ => ("--server", &None),
        };
        let mut reason = reason;
        for (setting, flag) in
            [("tls_cert", "--tls-cert"), ("tls_key", "--tls-key"), ("allow_plaintext", "--allow-plaintext")]
        {
            reason = reason.replace(setting, flag);
        }
        if let Some(path) = path {
            reason = format!("{}: {reason}", path.display());
        }
        let name = self.tls_server_name.as_ref().filter(|_| setting == "tls_server_name").map(OsStr::new);
        let value = path.as_deref().map(Path::as_os_str).or(name);
        Ok(Refused { flag: value.map_or_else(|| flag.to_owned(), |value| named(flag, value)), reason })
    }
}

/// Reads a file that may block: a pipe, or a drive that hangs.
async fn read(flag: &str, path: &Path) -> Result<Vec<u8>, Refused> {
    read::soon(path, READ_TIMEOUT).await.map_err(|error| Refused {
        flag: named(flag, path),
        reason: format!("cannot read {}: {error}", path.display()),
    })
}

/// A flag as an error names it: with its variable, if that has the flag's value.
fn named(flag: &str, value: impl AsRef<OsStr>) -> String {
    let variable = format!("EVENKEEL_CLIENT_{}", flag.trim_start_matches('-').replace('-', "_").to_uppercase());
    if env::var_os(&variable).is_some_and(|set| set == value.as_ref()) {
        format!("{flag} ({variable})")
    } else {
        flag.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_and_a_port_are_a_url() {
        let plain = SecurityArgs::default();
        let tls = SecurityArgs { tls_ca: Some("ca.pem".into()), ..SecurityArgs::default() };
        for (server, url, encrypted) in [
            ("localhost:1", "http://localhost:1", "https://localhost:1"),
            ("[::1]:1", "http://[::1]:1", "https://[::1]:1"),
            ("http://a:1", "http://a:1", "http://a:1"),
            ("https://a:1", "https://a:1", "https://a:1"),
            ("unix:1", "unix:1", "unix:1"),
            ("unix:///run/a", "unix:///run/a", "unix:///run/a"),
            ("http://a", "http://a", "http://a"),
            ("http://a:1/", "http://a:1/", "http://a:1/"),
        ] {
            let given = [&plain, &tls].map(|security| security.url(server).map_err(|error| error.to_string()));
            assert_eq!(given, [Ok(url.to_owned()), Ok(encrypted.to_owned())]);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for server in [
            "",
            " ",
            "nonsense",
            "nonsense:",
            "not a url",
            "localhost:99999",
            "localhost:",
            ":1",
            "::1:1",
            "http://",
            "http://:1",
            "http://::1:1",
            "http://a:",
            "http://a:99999",
            "ftp://a:1",
            "grpc://a:1",
            "a:1/path",
            "http://a:1/path",
            "http://a:1?query",
            "http://a:1/#part",
            "user:secret@a:1",
            "http://user:secret@a:1",
            "unix:",
            "unix://",
        ] {
            let error = SecurityArgs::default().url(server).expect_err(server).to_string();
            assert!(error.starts_with("--server (EVENKEEL_SERVER): ") && error.contains("HOST:PORT"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
