//! Calls from browsers: gRPC-Web, and the origins whose pages may call.

use clap::Args;
use tonic::codegen::http::{HeaderValue, Uri};

use super::Error;

/// The value that stands for every origin.
pub const ANY_ORIGIN: &str = "*";

/// Calls from browsers.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct WebConfig {
    /// Speaks gRPC-Web as well, on the same port, over HTTP/2 and HTTP/1.1, for browsers and programs without
    /// HTTP/2.
    #[arg(long, env = "EVENKEEL_GRPC_WEB")]
    pub grpc_web: bool,

    /// An origin whose pages may call, such as `https://app.example.com` (CORS); may be given several times, or separated by
    /// commas. `*`: any. Without it, only pages of the server's own origin. Needs --grpc-web.
    #[arg(long = "cors-origin", value_name = "ORIGIN", env = "EVENKEEL_CORS_ORIGIN", value_delimiter = ',')]
    pub cors_origins: Vec<String>,
}

impl WebConfig {
    /// Checks the origins.
    ///
    /// # Errors
    /// The first that a browser would never send.
    pub fn validate(&self) -> Result<(), Error> {
        let error = |reason: String| Err(Error { key: "cors-origin", reason });
        if !self.cors_origins.is_empty() && !self.grpc_web {
            return error("'--grpc-web' is missing".to_owned());
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
    use super::*;

    fn with(origins: &[&str]) -> WebConfig {
        WebConfig { grpc_web: true, cors_origins: origins.iter().map(|&origin| origin.to_owned()).collect() }
    }

    #[test]
    fn origins_are_what_browsers_send() {
        for right in [
            &[][..],
            &["*"],
            &["https://app.example.com", "http://localhost:8080"],
            &["http://[::1]:8080", "chrome-extension://abc"],
        ] {
            assert_eq!(with(right).validate(), Ok(()), "{right:?}");
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
            assert_eq!(with(wrong).validate().expect_err("it is no origin").key, "cors-origin", "{wrong:?}");
        }
    }

    #[test]
    fn origins_need_grpc_web() {
        let config = WebConfig { grpc_web: false, ..with(&["*"]) };
        assert!(config.validate().expect_err("there is nothing to call").reason.contains("--grpc-web"));
    }
}
