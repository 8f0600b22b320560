//! The collector that takes traces and metrics.

use std::{env, path::PathBuf};

use clap::Args;
use tonic::codegen::http::{Uri, uri::Scheme};

use super::Error;

/// The OpenTelemetry collector, and what sends to it.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct OtlpConfig {
    /// The OpenTelemetry collector that takes traces and metrics over OTLP with gRPC, such as `http://127.0.0.1:4317`, or
    /// with TLS `https://collector.example.com:4317`. Without it, `OTEL_EXPORTER_OTLP_ENDPOINT` says where, or nothing is
    /// sent.
    #[arg(id = "otlp_endpoint", long = "otlp-endpoint", value_name = "URL", env = "EVENKEEL_OTLP_ENDPOINT")]
    pub endpoint: Option<String>,

    /// Certificates in PEM: one of these must have signed the collector's. Read again when they change. Without it,
    /// `OTEL_EXPORTER_OTLP_CERTIFICATE` names the file, or the authorities that browsers trust count.
    #[arg(id = "otlp_ca", long = "otlp-ca", value_name = "FILE", env = "EVENKEEL_OTLP_CA")]
    pub ca: Option<PathBuf>,

    /// The certificate that the collector is shown, in PEM, followed by those that it was signed with. Read again when it
    /// changes. Without it and its key, `OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE` and `OTEL_EXPORTER_OTLP_CLIENT_KEY` name
    /// the files, or none is shown.
    #[arg(id = "otlp_cert", long = "otlp-cert", value_name = "FILE", env = "EVENKEEL_OTLP_CERT")]
    pub cert: Option<PathBuf>,

    /// The private key of --otlp-cert, in PEM. Read again when it changes.
    #[arg(id = "otlp_key", long = "otlp-key", value_name = "FILE", env = "EVENKEEL_OTLP_KEY")]
    pub key: Option<PathBuf>,

    /// Headers for the collector, `name: value`, one a line, such as a token. Read again when it changes. They
    /// override those of `OTEL_EXPORTER_OTLP_HEADERS`.
    #[arg(
        id = "otlp_headers_file",
        long = "otlp-headers-file",
        value_name = "FILE",
        env = "EVENKEEL_OTLP_HEADERS_FILE"
    )]
    pub headers_file: Option<PathBuf>,

    /// The settings, by their flags without the dashes, that came from OpenTelemetry's own variables, with the names of
    /// those.
    #[arg(skip)]
    pub variables: Vec<(&'static str, &'static str)>,

    /// Whether OpenTelemetry's variables for the service's name and for sampling count. The program sets it; by default, for
    /// a server within another program, they do not: all calls are sampled, as those of `evenkeel`.
    #[arg(skip)]
    pub reads_environment: bool,
}

impl OtlpConfig {
    /// Takes settings that are not set from OpenTelemetry's own variables.
    ///
    /// # Errors
    /// As [`validate`](Self::validate), with the variable's name where the value is from one.
    pub(super) fn or_from_environment(mut self) -> Result<Self, Error> {
        let variable = |name| env::var(name).ok().filter(|value: &String| !value.is_empty());
        let mut variables = Vec::new();
        if self.endpoint.is_none() {
            self.endpoint = variable("OTEL_EXPORTER_OTLP_ENDPOINT");
            variables.extend(self.endpoint.iter().map(|_| ("otlp-endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT")));
        }
        if self.is_https() {
            let mut take = |file: &mut Option<PathBuf>, key, name| {
                *file = variable(name).map(PathBuf::from);
                variables.extend(file.iter().map(|_| (key, name)));
            };
            if self.ca.is_none() {
                take(&mut self.ca, "otlp-ca", "OTEL_EXPORTER_OTLP_CERTIFICATE");
            }
            // A certificate and its key come from the same source.
            if self.cert.is_none() && self.key.is_none() {
                take(&mut self.cert, "otlp-cert", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE");
                take(&mut self.key, "otlp-key", "OTEL_EXPORTER_OTLP_CLIENT_KEY");
            }
        }
        self.variables = variables;
        self.reads_environment = true;
        self.validate().map_err(|error| Error { key: self.named(error.key), ..error })?;
        Ok(self)
    }

    /// The name of the setting's source: a variable of OpenTelemetry's, or else the flag `key`.
    pub(crate) fn named(&self, key: &'static str) -> &'static str {
        self.variables.iter().find_map(|&(flag, variable)| (flag == key).then_some(variable)).unwrap_or(key)
    }

    /// Whether the connection to the collector is encrypted.
    pub(crate) fn is_https(&self) -> bool {
        let uri = self.endpoint.as_ref().and_then(|endpoint| endpoint.parse::<Uri>().ok());
        uri.is_some_and(|uri| uri.scheme() == Some(&Scheme::HTTPS))
    }

    /// Checks the settings, but not the content of the files.
    ///
    /// # Errors
    /// The first that cannot be used, by name.
    pub fn validate(&self) -> Result<(), Error> {
        let error = |key, reason: String| Err(Error { key, reason });
        let of_tls = [("otlp-ca", &self.ca), ("otlp-cert", &self.cert), ("otlp-key", &self.key)];
        let Some(endpoint) = &self.endpoint else {
            let mut files = of_tls.into_iter().chain([("otlp-headers-file", &self.headers_file)]);
            return match files.find(|(_, file)| file.is_some()) {
                Some((key, _)) => error(key, "'--otlp-endpoint' is missing".to_owned()),
                None => Ok(()),
            };
        };
        let uri = endpoint.parse::<Uri>().ok().filter(|uri| uri.host().is_some_and(|host| !host.is_empty()));
        // A password in the URL would not be sent, and `evenkeel config` would show it. The error does not repeat it,
        // either.
        if endpoint.contains('@') {
            return error(
                "otlp-endpoint",
                "a URL with a name or a password; put those in --otlp-headers-file".to_owned(),
            );
        }
        if !uri.is_some_and(|uri| [Some("http"), Some("https")].contains(&uri.scheme_str())) {
            return error("otlp-endpoint", format!("'{endpoint}' is not http://HOST:PORT or https://HOST:PORT"));
        }
        if let Some((key, _)) = of_tls.into_iter().find(|(_, file)| file.is_some() && !self.is_https()) {
            return error(key, format!("'{endpoint}' is not https://HOST:PORT"));
        }
        match (&self.cert, &self.key) {
            (Some(_), None) => error("otlp-cert", "'--otlp-key' is missing".to_owned()),
            (None, Some(_)) => error("otlp-key", "'--otlp-cert' is missing".to_owned()),
            (Some(_), Some(_)) | (None, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(endpoint: &str) -> OtlpConfig {
        OtlpConfig { endpoint: Some(endpoint.to_owned()), ..OtlpConfig::default() }
    }

    #[test]
    fn what_can_be_sent_to_is_taken() {
        let file = || Some("pem".into());
        for config in [
            OtlpConfig::default(),
            at("http://127.0.0.1:4317"),
            at("http://collector"),
            OtlpConfig { headers_file: file(), ..at("http://[::1]:4317") },
            OtlpConfig { ca: file(), headers_file: file(), ..at("https://collector.example.com:4317") },
            OtlpConfig { cert: file(), key: file(), ..at("https://collector.example.com:4317") },
        ] {
            assert_eq!(config.validate(), Ok(()), "{config:?}");
        }
    }

    #[test]
    fn what_cannot_is_named() {
        let file = || Some("pem".into());
        for (config, key) in [
            (at(""), "otlp-endpoint"),
            (at("127.0.0.1:4317"), "otlp-endpoint"),
            (at("grpc://collector:4317"), "otlp-endpoint"),
            (at("https://"), "otlp-endpoint"),
            (at("https://user:secret@collector:4317"), "otlp-endpoint"),
            (OtlpConfig { ca: file(), ..at("http://collector:4317") }, "otlp-ca"),
            (OtlpConfig { ca: file(), ..OtlpConfig::default() }, "otlp-ca"),
            (OtlpConfig { cert: file(), key: file(), ..at("http://collector:4317") }, "otlp-cert"),
            (OtlpConfig { cert: file(), key: file(), ..OtlpConfig::default() }, "otlp-cert"),
            (OtlpConfig { cert: file(), ..at("https://collector:4317") }, "otlp-cert"),
            (OtlpConfig { key: file(), ..at("https://collector:4317") }, "otlp-key"),
            (OtlpConfig { headers_file: file(), ..OtlpConfig::default() }, "otlp-headers-file"),
        ] {
            let error = config.validate().expect_err(key);
            assert_eq!(error.key, key, "{config:?}");
            assert!(!error.reason.contains("secret"), "{error}");
        }
    }
}
