//! Bearer tokens: which clients may call which methods.

use std::{fmt, future::ready, sync::Arc};

use subtle::{Choice, ConstantTimeEq as _};
use tonic::{
    Status,
    body::Body,
    codegen::http::{HeaderMap, Request, header::AUTHORIZATION},
};

use crate::{
    config::{self, SecurityConfig},
    error::Error,
    grpc::{BoxedResponse, GrpcService, Middleware},
    lines::lines,
    setting::File,
    watched::{Reload, Reloaded},
};

/// A file of tokens. Its content is in no log, and no `Debug` shows it.
pub(super) struct List(Vec<Vec<u8>>);

/// The accepted tokens, and the methods that need none.
#[derive(Clone)]
pub(super) struct Tokens {
    list: Reloaded<List>,
    open: Arc<[String]>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("open", &self.open).finish_non_exhaustive()
    }
}

impl Tokens {
    /// `None`: calls need no token. The second value keeps the first up to date.
    ///
    /// # Errors
    /// The file cannot be read, or has no token.
    pub(super) fn new(config: &SecurityConfig) -> Result<Option<(Self, Reload<List>)>, config::Error> {
        let Some(path) = config.auth_token_file.clone() else { return Ok(None) };
        let (list, reload) = Reloaded::load(vec![File { key: "auth-token-file", path }], parse)?;
        Ok(Some((Self { list, open: config.auth_open_methods.clone().into() }, reload)))
    }

    /// Whether a call of this path is admitted. The path is compared as text, since operators write paths, also those
    /// of methods and services that this server does not have.
    fn admit(&self, path: &str, headers: &HeaderMap) -> bool {
        let is_open = |open: &String| if open.ends_with('/') { path.starts_with(open) } else { path == open };
        self.open.iter().any(is_open) || token(headers).is_some_and(|token| self.list.get().has(token))
    }
}

impl List {
    /// Compares with all bytes of all tokens, so that the time reveals nothing but their lengths.
    fn has(&self, token: &[u8]) -> bool {
        self.0.iter().fold(Choice::from(0), |found, known| found | known.ct_eq(token)).into()
    }
}

/// The token of `authorization: Bearer TOKEN`.
pub(super) fn token(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.as_bytes().split_at_checked("bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token.trim_ascii())
}

/// One token a line. A line with a blank and `#` is refused, since its comment would become a part of the token.
fn parse(files: &[File], contents: &[Vec<u8>]) -> Result<List, config::Error> {
    let refused = |reason: String| files[0].error(reason);
    let lines = lines(&contents[0]).map_err(refused)?;
    for (number, line) in &lines {
        if line.contains(" #") || line.contains("\t#") {
            return Err(refused(format!("line {number}: a comment needs a line of its own, which begins with '#'")));
        }
        // A client could not send other characters in a header.
        if !line.bytes().all(|byte| byte.is_ascii_graphic()) {
            let reason =
                "a token has visible ASCII characters only, and no spaces; its scheme, Bearer, is not a part of it";
            return Err(refused(format!("line {number}: {reason}")));
        }
    }
    let tokens: Vec<_> = lines.into_iter().map(|(_, line)| line.into_bytes()).collect();
    if tokens.is_empty() { Err(files[0].error("there is no token in it")) } else { Ok(List(tokens)) }
}

/// Answers calls without a token, before anything of them is read.
#[derive(Clone, Debug)]
pub(super) struct Authorize {
    /// `None`: calls need no token.
    tokens: Option<Tokens>,
}

impl Authorize {
    pub(super) fn new(tokens: Option<Tokens>) -> Self {
        Self { tokens }
    }
}

impl<S: GrpcService<Future = BoxedResponse>> Middleware<S> for Authorize {
    fn call(&self, request: Request<Body>, inner: &mut S) -> BoxedResponse {
        match &self.tokens {
            Some(tokens) if !tokens.admit(request.uri().path(), request.headers()) => {
                Box::pin(ready(Ok(Status::from(Error::Unauthenticated).into_http())))
            }
            Some(_) | None => inner.call(request),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        [(AUTHORIZATION, value.parse().expect("a header's value"))].into_iter().collect()
    }

    #[test]
    fn tokens_are_lines_and_every_one_is_known() {
        let file = [File { key: "auth-token-file", path: "tokens".into() }];
        let list = parse(&file, &[b"one\n\n two \r\nthree".to_vec()]).expect("there are three");
        for known in ["one", "two", "three"] {
            assert!(list.has(known.as_bytes()), "{known}");
        }
        for unknown in ["", "on", "onee", "One", "one\ntwo"] {
            assert!(!list.has(unknown.as_bytes()), "{unknown}");
        }
        let refused = parse(&file, &[b"one\ntwo # of the other team".to_vec()]).err().expect("nobody could send it");
        assert!(refused.reason.contains("line 2") && !refused.reason.contains("two"), "{refused}");
        let empty = parse(&file, &[b" \n\n".to_vec()]).err().expect("there is none");
        assert_eq!(empty.key, "auth-token-file");
    }

    #[test]
    fn a_token_is_what_follows_bearer() {
        assert_eq!(token(&headers("Bearer abc")), Some(&b"abc"[..]));
        assert_eq!(token(&headers("bearer  abc")), Some(&b"abc"[..]));
        for other in ["abc", "Basic abc", "Bearer", "Bearerabc"] {
            assert_eq!(token(&headers(other)), None, "{other}");
        }
    }
}
