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

impl ServerInfo {
    /// Whether this client and the server fit together by their versions: the same major version, and minor versions at most one
    /// apart. The client writes a warning to [`tracing`] if they do not, when it first asks for the server's limits.
    pub fn is_compatible(&self) -> bool {
        are_compatible(&self.version, env!("CARGO_PKG_VERSION"))
    }
}

/// Whether a server and a client of these versions fit together. A version that cannot be read fits none.
fn are_compatible(server: &str, client: &str) -> bool {
    let numbers = |version: &str| -> Option<(u64, u64)> {
        let mut numbers = version.split('.').map(|number| number.parse().ok());
        Some((numbers.next()??, numbers.next()??))
    };
    match (numbers(server), numbers(client)) {
        (Some((server, server_minor)), Some((client, client_minor))) => {
            server == client && server_minor.abs_diff(client_minor) <= 1
        }
        (None, _) | (_, None) => false,
    }
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
        let answer = self.retrying(|client| async move {
            let (mut stub, call, request) = client.stream(pb::GetServerInfoRequest {});
            call.end(stub.get_server_info(request)).await
        });
        let answer = answer.await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_may_be_one_minor_apart() {
        for (server, client, fits) in [
            ("0.1.0", "0.1.7", true),
            ("0.2.0", "0.1.0", true),
            ("0.3.0", "0.1.0", false),
            ("1.1.0", "0.1.0", false),
            ("2.9.0-rc.1", "2.10.1", true),
            ("", "0.1.0", false),
            ("1", "1.0.0", false),
            ("1.x", "1.0.0", false),
        ] {
            assert_eq!(are_compatible(server, client), fits, "{server} {client}");
        }
    }
}
