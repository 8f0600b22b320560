//! The limits of a server: they decide which calls are made as streams, and how long their chunks are.

use std::time::Instant;

use tonic::Code;

use crate::{Client, Error, ServerInfo, deadline::Deadline};

/// No server has a lower limit for messages, so shorter ones are sent without asking for it.
const LEAST_MAX_MESSAGE_BYTES: usize = 1 << 10;

/// The chunks of a server whose limits are not known.
const DEFAULT_CHUNK_BYTES: usize = 1 << 20;

/// What a chunk needs in a message beside its bytes.
const OVERHEAD: usize = 16;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    max_message_bytes: u64,
    /// 0: the server streams no tensors.
    max_stream_chunk_bytes: u64,
}

impl Limits {
    /// Those of a server that does not tell.
    const UNKNOWN: Self = Self { max_message_bytes: u64::MAX, max_stream_chunk_bytes: 0 };
}

/// A call that has to be made as a stream.
pub(crate) struct Streamed {
    /// The client, with the time that is left.
    pub(crate) client: Client,
    /// The most bytes of a chunk.
    pub(crate) chunk: usize,
    /// The most bytes of a message that is no stream.
    pub(crate) max_message_bytes: u64,
}

impl Streamed {
    fn new(client: Client, limits: Limits) -> Self {
        let chunk = client.chunk(limits);
        Self { client, chunk, max_message_bytes: limits.max_message_bytes }
    }

    /// The next of several calls, with what is left of the time that they have together since the first of them began.
    pub(crate) fn since(&self, began: Instant) -> Self {
        let Self { client, chunk, max_message_bytes } = self;
        Self { client: client.since(began), chunk: *chunk, max_message_bytes: *max_message_bytes }
    }
}

/// How a call is made. The future of a stream is large, and few calls are one: it is boxed, so that the others do not have its size.
pub(crate) enum Route {
    /// As one message, with the time that is left.
    Unary(Client),
    Stream(Streamed),
}

impl Client {
    /// How a call with messages of so many bytes is made: as a stream if the server takes no such message and has streams.
    pub(crate) async fn route(self, message_bytes: usize) -> Result<Route, Error> {
        if message_bytes <= LEAST_MAX_MESSAGE_BYTES {
            return Ok(Route::Unary(self));
        }
        let (client, limits) = self.with_limits().await?;
        let fits = u64::try_from(message_bytes).is_ok_and(|bytes| bytes <= limits.max_message_bytes);
        Ok(if fits || limits.max_stream_chunk_bytes == 0 {
            Route::Unary(client)
        } else {
            Route::Stream(Streamed::new(client, limits))
        })
    }

    /// The longest message that both sides take, for a call that sends so many bytes in several, and the client with the time that is
    /// left.
    pub(crate) async fn with_message_limit(self, bytes: usize) -> Result<(Self, usize), Error> {
        let own = self.max_message_bytes();
        if bytes <= LEAST_MAX_MESSAGE_BYTES {
            return Ok((self, own));
        }
        let (client, limits) = self.with_limits().await?;
        Ok((client, usize::try_from(limits.max_message_bytes).unwrap_or(usize::MAX).min(own)))
    }

    /// A call that is a stream in any case. A server that has none says so.
    pub(crate) async fn streamed(self) -> Result<Streamed, Error> {
        let (client, limits) = self.with_limits().await?;
        Ok(Streamed::new(client, limits))
    }

    fn chunk(&self, limits: Limits) -> usize {
        let chunk = match limits.max_stream_chunk_bytes {
            0 => DEFAULT_CHUNK_BYTES,
            bytes => usize::try_from(bytes).unwrap_or(usize::MAX),
        };
        let message = usize::try_from(limits.max_message_bytes).unwrap_or(usize::MAX).min(self.max_message_bytes());
        chunk.min(message.saturating_sub(OVERHEAD)).max(1)
    }

    /// The server's limits, and the client with the time that is left of its limit after they were asked for.
    async fn with_limits(self) -> Result<(Self, Limits), Error> {
        if let Some(&limits) = self.limits().get() {
            return Ok((self, limits));
        }
        let began = Instant::now();
        let limits = {
            // Another call may be asking, with more time than this one.
            let asked = async {
                match self.limits().get_or_try_init(async || Box::pin(self.ask()).await).await {
                    Ok(&limits) => Ok(limits),
                    // A proxy may refuse the call. What is wrong with others is told by the call itself.
                    Err(Error::Status(_)) => Ok(Limits::UNKNOWN),
                    Err(error) => Err(error.into()),
                }
            };
            self.by(Deadline::after(self.timeout()), asked).await?
        };
        Ok((self.since(began), limits))
    }

    async fn ask(&self) -> Result<Limits, Error> {
        match self.server_info().await {
            Ok(info) => {
                if !info.is_compatible() {
                    let (server, client) = (&*info.version, env!("CARGO_PKG_VERSION"));
                    tracing::warn!(server, client, "the versions of server and client are more than one minor apart");
                }
                let ServerInfo { max_message_bytes, max_stream_chunk_bytes, .. } = info;
                Ok(Limits { max_message_bytes, max_stream_chunk_bytes })
            }
            // An older server stays one.
            Err(Error::Status(status)) if status.code() == Code::Unimplemented => Ok(Limits::UNKNOWN),
            Err(error) => Err(error),
        }
    }
}
