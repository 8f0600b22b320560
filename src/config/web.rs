//! Calls from browsers: gRPC-Web, Connect, and the origins whose pages may call.

use clap::{Args, builder::BoolishValueParser};
use tonic::codegen::http::{HeaderValue, Uri};

use super::Error;
use crate::address::Address;

/// The value that stands for every origin.
pub const ANY_ORIGIN: &str = "*";

/// Calls from browsers.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct WebConfig {
    /// Speaks gRPC-Web as well, on the same port, over HTTP/2 and HTTP/1.1, for browsers and programs without
    /// HTTP/2.
    #[arg(long, env = "EVENKEEL_GRPC_WEB")]
    pub grpc_web: bool,

    /// Speaks Connect as well, on the same port, over HTTP/2 and HTTP/1.1: calls that curl and browsers can make, in JSON or
    /// protobuf. [default: true where only this machine can connect, else false]
    #[arg(long, value_name = "BOOL", env = "EVENKEEL_CONNECT", num_args = 0..=1, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub connect: Option<bool>,

    /// An origin whose pages may call, such as `https://app.example.com` (CORS); may be given several times, or separated by
    /// commas. `*`: any. Without it, only pages of the server's own origin. Needs --grpc-web or --connect.
    #[arg(long = "cors-origin", value_name = "ORIGIN", env = "EVENKEEL_CORS_ORIGIN", value_delimiter = ',')]
    pub cors_origins: Vec<String>,
}

impl WebConfig {
    /// Whether a server that listens on this address speaks Connect.
    pub fn speaks_connect(&self, listen: &Address) -> bool {
        self.connect.unwrap_or_else(|| listen.is_local())
    }

    /// Whether a server that listens on this address speaks a protocol that HTTP/1.1 can carry.
    pub fn speaks_http1(&self, listen: &Address) -> bool {
        self.grpc_web || self.speaks_connect(listen)
    }

    /// Checks the origins, for a server that listens on this address.
    ///
    /// # Errors
    /// The first that a browser would never send.
    pub fn validate(&self, listen: &Address) -> Result<(), Error> {
        let error = |reason: String| Err(Error { key: "cors-origin", reason });
        if !self.cors_origins.is_empty() && !self.speaks_http1(listen) {
            return error("'--grpc-web' or '--connect' is missing".to_owned());
        }
        if self.cors_origins.len() > 1 && self.cors_origins.iter().any(|origin| origin == ANY_ORIGIN) {
            return error(format!("'{ANY_ORIGIN}' is every origin, and there are others"));
        }
        match self.cors_origins.iter().find(|origin| *origin != ANY_ORIGIN && !is_origin(origin)) {
            Some(wrong) => {
                error(format!("'{wrong}' is neither SCHEME://HOST nor SCHEME://HOST:PORT, in small letters"))
            }
            None => Ok(()),
        }
    }
}

/// Whether a browser could send this text as an `Origin`, which is compared letter by letter.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let is_whole = text.parse::<Uri>().is_ok_and(|uri| {
        uri.authority().is_some_and(|parsed| parsed.as_str() == authority && !authority.contains('@'))
            && uri.host().is_some_and(|host| !host.is_empty())
    });
    let default_port = match scheme {
        "http" => Some(":80"),
        "https" => Some(":443"),
        _ => None,
    };
    is_whole
        && !text.bytes().any(|byte| byte.is_ascii_uppercase() || byte == b'*')
        && HeaderValue::from_str(text).is_ok()
        && default_port.is_none_or(|port| !authority.ends_with(port))
}

#[cfg(test)]
mod tests {
    use super::{super::DEFAULT_LISTEN, *};

    fn with(origins: &[&str]) -> WebConfig {
        WebConfig {
            grpc_web: true,
            connect: None,
            cors_origins: origins.iter().map(|&origin| origin.to_owned()).collect(),
        }
    }

    #[test]
    fn origins_are_what_browsers_send() {
        for right in [
            &[][..],
            &["*"],
            &["https://app.example.com", "http://localhost:8080"],
            &["http://[::1]:8080", "chrome-extension://abc"],
        ] {
            assert_eq!(with(right).validate(&DEFAULT_LISTEN), Ok(()), "{right:?}");
        }
        for wrong in [
            &[""][..],
            &["app.example.com"],
            &["https://app.example.com/"],
            &["https://app.example.com/page"],
            &["https://App.example.com"],
            &["https://app.example.com:443"],
            &["http://app.example.com:80"],
            &["https://me@app.example.com"],
            &["https://*.example.com"],
            &["https://"],
            &["null"],
            &["*", "https://app.example.com"],
        ] {
            assert_eq!(
                with(wrong).validate(&DEFAULT_LISTEN).expect_err("it is no origin").key,
                "cors-origin",
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn connect_is_spoken_where_only_this_machine_can_call() {
        for (listen, default) in [
            ("127.0.0.1:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("unix:/run/evenkeel.sock", true),
            ("0.0.0.0:1", false),
            ("[::]:1", false),
            ("192.0.2.1:1", false),
        ] {
            let listen = listen.parse().expect("an address");
            for (connect, expected) in [(None, default), (Some(true), true), (Some(false), false)] {
                let config = WebConfig { connect, ..WebConfig::default() };
                assert_eq!(config.speaks_connect(&listen), expected, "{listen} {connect:?}");
                assert!(WebConfig { grpc_web: true, ..config }.speaks_http1(&listen));
            }
        }
    }

    #[test]
    fn origins_need_a_protocol_of_browsers() {
        let config = WebConfig { grpc_web: false, connect: Some(false), ..with(&["*"]) };
        let reason = config.validate(&DEFAULT_LISTEN).expect_err("there is nothing to call").reason;
        assert!(reason.contains("--grpc-web") && reason.contains("--connect"), "{reason}");
    }
}
