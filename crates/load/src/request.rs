//! A prepared call.

use std::time::Duration;

use bytes::Bytes;

use crate::{answer::Kind, hpack};

/// Where the header `:scheme` stands in a block.
const SCHEME: usize = 1;

/// A call that is known beforehand: its headers, which are encoded once, and its body.
#[derive(Clone, Debug)]
pub struct Request {
    block: Vec<u8>,
    body: Bytes,
    kind: Kind,
    timeout: Option<Duration>,
}

impl Request {
    /// A call of the method at `path` (`/package.Service/Method`) with this body: one message of gRPC with its prefix, or
    /// those of a stream. `kind`: what the answer is.
    pub fn new(path: &str, authority: &str, body: Bytes, kind: Kind) -> Self {
        let mut block = vec![0x83, 0x86]; // :method POST, :scheme http
        for (index, value) in [(4, path), (1, authority), (31, "application/grpc")] {
            hpack::write_field(&mut block, index, "", value);
        }
        hpack::write_field(&mut block, 0, "te", "trailers");
        Self { block, body, kind, timeout: None }
    }

    /// The same call over TLS: its scheme is `https`.
    #[must_use]
    pub fn https(mut self) -> Self {
        self.block[SCHEME] = 0x87;
        self
    }

    /// A header that each call carries; the name is in lower case.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        hpack::write_field(&mut self.block, 0, name, value);
        self
    }

    /// How long a call may take from the moment that it is sent. The server is told, and the client gives up a call after it.
    /// Default: no limit.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        // The unit is milliseconds; a value of gRPC has eight digits at most.
        let milliseconds = timeout.as_millis().clamp(1, 99_999_999);
        self = self.header("grpc-timeout", &format!("{milliseconds}m"));
        self.timeout = Some(timeout);
        self
    }

    /// The bytes that a call sends, without headers.
    pub fn body_len(&self) -> usize {
        self.body.len()
    }

    pub(crate) fn block(&self) -> &[u8] {
        &self.block
    }

    pub(crate) fn body(&self) -> Bytes {
        self.body.clone()
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn limit(&self) -> Option<Duration> {
        self.timeout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers are those of HPACK's static table (RFC 7541, appendix A) with the bit of an indexed field.
    #[test]
    fn the_scheme_is_that_of_the_connection() {
        let request = Request::new("/a.B/C", "a:1", Bytes::new(), Kind::Message);
        assert_eq!(request.block()[..2], [0x80 | 3, 0x80 | 6]);
        assert_eq!(request.https().block()[..2], [0x80 | 3, 0x80 | 7]);
    }
}
