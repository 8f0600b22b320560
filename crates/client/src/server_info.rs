//! GetServerInfo.

use evenkeel_proto::v1 as pb;

use crate::{Client, DType, Error, NormKind};

/// A server's version, its limits, and what it can compute.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerInfo {
    /// The server's version, in the form of semver.org.
    pub version: String,
    /// The longest message that it takes or sends, in bytes. A client's own limit is
    /// [`max_message_bytes`](crate::Builder::max_message_bytes).
    pub max_message_bytes: u64,
    /// The longest chunk of a streamed tensor that it sends, in bytes; 0: it streams no tensors.
    pub max_stream_chunk_bytes: u64,
    /// The element types that it computes on, of those that this client knows.
    pub dtypes: Vec<DType>,
    /// The normalizations that it computes, of those that this client knows.
    pub norm_kinds: Vec<NormKind>,
    /// How messages may be compressed, under gRPC's names. This client sends them plain.
    pub compression: Vec<String>,
}

impl Client {
    /// Asks the server for its version, its limits and what it can do.
    ///
    /// ```
    /// use evenkeel_client::NormKind;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = evenkeel::server::Running::start(evenkeel::config::ServerConfig::on_free_port()).await?;
    /// # let client = evenkeel_client::Client::connect(server.url()).await?;
    /// let info = client.server_info().await?;
    /// assert!(info.norm_kinds.contains(&NormKind::Group));
    /// assert!(info.max_message_bytes >= 4 << 20);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Any [`Error`] that has to do with the connection. [`Error::Status`] with `UNIMPLEMENTED` if the server is too old for this
    /// call.
    pub async fn server_info(&self) -> Result<ServerInfo, Error> {
        let (mut stub, call, request) = self.stream(pb::GetServerInfoRequest {});
        let answer = call.end(stub.get_server_info(request)).await?;
        let pb::GetServerInfoResponse {
            version,
            max_message_bytes,
            max_stream_chunk_bytes,
            dtypes,
            norm_kinds,
            compression,
        } = answer.into_inner();
        Ok(ServerInfo {
            version,
            max_message_bytes,
            max_stream_chunk_bytes,
            dtypes: dtypes.into_iter().filter_map(DType::from_wire).collect(),
            norm_kinds: norm_kinds.into_iter().filter_map(NormKind::from_wire).collect(),
            compression,
        })
    }
}
