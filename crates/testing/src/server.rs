//! Servers on a free port of the loopback interface, and connections to them.

use evenkeel::{config::ServerConfig, server::Running};
use evenkeel_proto::v1::tensor_ops_service_client::TensorOpsServiceClient;
use tonic::transport::{Channel, Endpoint};

/// The generated client.
pub type Client = TensorOpsServiceClient<Channel>;

/// A server with the default settings, and a client of it.
pub async fn start() -> (Running, Client) {
    start_with(ServerConfig::on_free_port()).await
}

/// A server, and a client of it that takes answers of any size.
pub async fn start_with(config: ServerConfig) -> (Running, Client) {
    let server = Running::start(config).await.expect("the server starts");
    let client = Client::new(connect(&server).await).max_decoding_message_size(usize::MAX);
    (server, client)
}

/// A connection of its own.
pub async fn connect(server: &Running) -> Channel {
    Endpoint::from_shared(server.url()).expect("the URL is one").connect().await.expect("the server accepts")
}
