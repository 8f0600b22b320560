//! TLS and tokens: which clients may call, and on which addresses a server may listen.

use std::path::PathBuf;

use clap::Args;
use evenkeel_proto::Method;

use super::Error;
use crate::address::Address;

/// The default for the methods that need no token: health, which load balancers and orchestrators ask for.
pub const DEFAULT_AUTH_OPEN_METHODS: &str = Method::HealthCheck.service_path();

/// Encryption and authentication. The files are read again when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityConfig {
    /// The server's certificate and those that it was signed with, in PEM. `None`: no TLS.
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key, in PEM.
    pub tls_key: Option<PathBuf>,
    /// Certificates, one of which must have signed a client's own. `None`: clients need none.
    pub tls_client_ca: Option<PathBuf>,
    /// Tokens, one a line, one of which a client must send. `None`: clients need none.
    pub auth_token_file: Option<PathBuf>,
    /// The methods that need no token, by their paths; a path that ends in `/` is all methods of a service.
    pub auth_open_methods: Vec<String>,
    /// Whether an address that other machines reach may be listened on without TLS.
    pub allow_plaintext: bool,
}

impl Default for SecurityConfig {
    fn default() -> Self {
        Self {
            tls_cert: None,
            tls_key: None,
            tls_client_ca: None,
            auth_token_file: None,
            auth_open_methods: vec![DEFAULT_AUTH_OPEN_METHODS.to_owned()],
            allow_plaintext: false,
        }
    }
}

impl SecurityConfig {
    /// Checks the settings, but not the content of the files.
    ///
    /// # Errors
    /// The first that cannot be used, by name.
    pub fn validate(&self, listen: &Address) -> Result<(), Error> {
        let error = |key, reason: &str| Err(Error { key, reason: reason.to_owned() });
        match (&self.tls_cert, &self.tls_key) {
            (Some(_), None) => return error("tls-cert", "'--tls-key' is missing"),
            (None, Some(_)) => return error("tls-key", "'--tls-cert' is missing"),
            (None, None) if self.tls_client_ca.is_some() => {
                return error("tls-client-ca", "'--tls-cert' and '--tls-key' are missing");
            }
            (Some(_), Some(_)) | (None, None) => (),
        }
        if let Some(path) = self.auth_open_methods.iter().find(|path| !path.starts_with('/')) {
            return Err(Error { key: "auth-open-methods", reason: format!("'{path}' does not begin with '/'") });
        }
        if !listen.is_local() && self.tls_cert.is_none() && !self.allow_plaintext {
            let reason = format!(
                "other machines reach {listen}, and nothing would be encrypted: give '--tls-cert' and '--tls-key', or \
                 '--allow-plaintext' if the network can be trusted"
            );
            return Err(Error { key: "listen", reason });
        }
        Ok(())
    }
}

/// The flags of `evenkeel serve` for encryption and authentication.
#[derive(Args, Clone, Debug)]
pub struct SecurityArgs {
    /// The server's certificate in PEM, followed by those that it was signed with. Read again when it changes.
    #[arg(long, value_name = "FILE", env = "EVENKEEL_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,

    /// The private key of --tls-cert, in PEM.
    #[arg(long, value_name = "FILE", env = "EVENKEEL_TLS_KEY")]
    pub tls_key: Option<PathBuf>,

    /// Certificates in PEM: clients must have one that one of these has signed.
    #[arg(long, value_name = "FILE", env = "EVENKEEL_TLS_CLIENT_CA")]
    pub tls_client_ca: Option<PathBuf>,

    /// Tokens, one a line: clients must send one of them, as `authorization: Bearer TOKEN`. Lines that begin with # are
    /// comments. Read again when it changes.
    #[arg(long, value_name = "FILE", env = "EVENKEEL_AUTH_TOKEN_FILE")]
    pub auth_token_file: Option<PathBuf>,

    /// Paths that need no token, separated by commas; a path that ends in `/` stands for all methods of a service.
    #[arg(
        long,
        value_name = "PATHS",
        env = "EVENKEEL_AUTH_OPEN_METHODS",
        value_delimiter = ',',
        default_value = DEFAULT_AUTH_OPEN_METHODS
    )]
    pub auth_open_methods: Vec<String>,

    /// Listens without TLS where other machines can connect.
    #[arg(long, env = "EVENKEEL_ALLOW_PLAINTEXT")]
    pub allow_plaintext: bool,
}

impl From<SecurityArgs> for SecurityConfig {
    fn from(arguments: SecurityArgs) -> Self {
        let SecurityArgs { tls_cert, tls_key, tls_client_ca, auth_token_file, auth_open_methods, allow_plaintext } =
            arguments;
        let auth_open_methods = auth_open_methods.into_iter().filter(|path| !path.is_empty()).collect();
        Self { tls_cert, tls_key, tls_client_ca, auth_token_file, auth_open_methods, allow_plaintext }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().expect("an address")
    }

    #[test]
    fn plain_text_stays_on_the_machine_unless_told_otherwise() {
        let default = SecurityConfig::default();
        for local in ["127.0.0.1:1", "127.1.2.3:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "unix:/run/a"] {
            assert_eq!(default.validate(&address(local)), Ok(()), "{local}");
        }
        for reachable in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1"] {
            assert_eq!(default.validate(&address(reachable)).expect_err(reachable).key, "listen");
            let allowed = SecurityConfig { allow_plaintext: true, ..default.clone() };
            let file = || Some("pem".into());
            let encrypted = SecurityConfig { tls_cert: file(), tls_key: file(), ..default.clone() };
            for config in [allowed, encrypted] {
                assert_eq!(config.validate(&address(reachable)), Ok(()), "{reachable}");
            }
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let file = || Some("pem".into());
        let default = SecurityConfig::default;
        for (config, key) in [
            (SecurityConfig { tls_cert: file(), ..default() }, "tls-cert"),
            (SecurityConfig { tls_key: file(), ..default() }, "tls-key"),
            (SecurityConfig { tls_client_ca: file(), ..default() }, "tls-client-ca"),
            (SecurityConfig { auth_open_methods: vec!["Health".to_owned()], ..default() }, "auth-open-methods"),
        ] {
            assert_eq!(config.validate(&address("127.0.0.1:1")).expect_err(key).key, key);
        }
    }
}
