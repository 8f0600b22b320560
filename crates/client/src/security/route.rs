//! How connections to one server are made.

use std::sync::{Arc, Mutex, PoisonError};

use tonic::transport::{Channel, Endpoint, Error};

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

/// Why a connection broke before the server sent anything on it, until a later connection works.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastWords(Arc<Mutex<Option<String>>>);

impl LastWords {
    pub(crate) fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    #[cfg(feature = "tls")]
    pub(super) fn set(&self, words: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(words);
    }

    #[cfg(feature = "tls")]
    pub(super) fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
