//! Reaching a server as the client does, for a program of this project that speaks HTTP/2 itself.

use std::{error::Error as StdError, fmt, future::poll_fn};

use tokio::io::{AsyncRead, AsyncWrite};
use tonic::codegen::Service as _;

use super::connector::Connector;
use crate::{Builder, Error};

/// What a connection to one server needs by the settings of a [`Builder`]: TLS, and the header with the token.
#[doc(hidden)]
#[derive(Clone)]
pub struct Access {
    authorization: Option<String>,
    tls: Option<Connector>,
}

impl Builder {
    /// How this builder's clients reach the server at `url`. Reads the certificates that the system trusts, which may block.
    ///
    /// # Errors
    /// As [`connect_lazy`](Self::connect_lazy).
    #[doc(hidden)]
    pub fn access(&self, url: &str) -> Result<Access, Error> {
        let tls = self.route(url)?.tls;
        let authorization = self.security.authorization()?;
        // The value was made of a text.
        let authorization = authorization.and_then(|value| value.to_str().map(str::to_owned).ok());
        Ok(Access { authorization, tls })
    }
}

impl Access {
    /// The value of the header `authorization`, if the clients send one.
    pub fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    /// Opens a connection, if it is one of TLS, on which both sides have agreed on HTTP/2.
    ///
    /// # Errors
    /// The server does not answer, it or the client does not trust the other, or it does not speak HTTP/2 over TLS.
    pub async fn connect_tls(
        &self,
    ) -> Option<Result<impl AsyncRead + AsyncWrite + Send + Unpin + use<>, Box<dyn StdError + Send + Sync>>> {
        let mut connector = self.tls.clone()?;
        Some(match poll_fn(|cx| connector.poll_ready(cx)).await {
            // The connector has the address.
            Ok(()) => connector.call(tonic::codegen::http::Uri::default()).await.map(|socket| socket.into_inner()),
            Err(error) => Err(error),
        })
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("is_tls", &self.tls.is_some()).finish_non_exhaustive()
    }
}
