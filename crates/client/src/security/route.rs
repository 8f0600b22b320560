//! How connections to one server are made.

use tonic::transport::{Channel, Endpoint, Error};

use super::last_words::LastWords;

/// Makes connections to one server.
pub(crate) struct Route {
    pub(super) endpoint: Endpoint,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<super::connector::Connector>,
    /// The last words of all connections that this makes.
    pub(crate) last_words: LastWords,
}

impl Route {
    pub(crate) async fn connect(&self) -> Result<Channel, Error> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return self.endpoint.connect_with_connector(tls.clone()).await;
        }
        self.endpoint.connect().await
    }

    pub(crate) fn connect_lazy(&self) -> Channel {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return self.endpoint.connect_with_connector_lazy(tls.clone());
        }
        self.endpoint.connect_lazy()
    }
}
