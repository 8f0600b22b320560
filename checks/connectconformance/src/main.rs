//! The server under test of `connectconformance`: the conformance suite's service, behind the layers of evenkeel's server.
//!
//! The runner writes a request for a server to standard input, reads the address from standard output, makes its calls, and sends
//! SIGTERM.

mod answers;
mod metadata;
mod service;
mod streams;

use std::{
    error::Error,
    fs,
    io::{self, Read as _, Write as _},
    time::Duration,
};

use evenkeel::{
    Guest,
    config::{Encoding, ServerConfig},
    server::Running,
};
use prost::Message as _;
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};
use tonic::service::Routes;

use crate::service::Conformance;

/// The messages of the conformance suite.
#[allow(
    clippy::all,
    clippy::pedantic,
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    reason = "generated code; its documentation is the proto's own comments"
)]
#[rustfmt::skip]
#[path = "generated/connectrpc.conformance.v1.rs"]
mod pb;

/// The descriptors of the service.
const DESCRIPTORS: &[u8] = include_bytes!("generated/descriptors.binpb");

/// How long calls in flight may take after SIGTERM. The runner has all answers by then.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let request = read()?;
    let files = TempDir::new()?;
    let server = Running::start(config(&request, &files)?).await?;
    let address = server.local_addr().ok_or("the server listens on a socket of TCP")?;
    let response = pb::ServerCompatResponse {
        host: address.ip().to_string(),
        port: address.port().into(),
        pem_cert: request.server_creds.map(|creds| creds.cert).unwrap_or_default(),
    };
    write(&response)?;
    signal(SignalKind::terminate())?.recv().await;
    server.shutdown_and_wait().await?;
    Ok(())
}

/// A server as the runner asks for it. The server reads its certificates from `files`.
fn config(request: &pb::ServerCompatRequest, files: &TempDir) -> Result<ServerConfig, Box<dyn Error>> {
    let mut config = ServerConfig::on_free_port();
    config.web.grpc_web = true;
    config.web.connect = Some(true);
    config.compression = vec![Encoding::Gzip, Encoding::Zstd];
    config.self_check.enabled = false;
    config.drain_timeout = DRAIN_TIMEOUT;
    // The runner has hundreds of connections, all from one address.
    config.connections.max_connections_per_peer = 0;
    if request.message_receive_limit > 0 {
        config.max_message_bytes = request.message_receive_limit.try_into()?;
    }
    let file = |name: &str, pem: &[u8]| {
        let path = files.path().join(name);
        fs::write(&path, pem).map(|()| path)
    };
    if let Some(creds) = request.server_creds.as_ref().filter(|_| request.use_tls) {
        config.security.tls_cert = Some(file("cert.pem", &creds.cert)?);
        config.security.tls_key = Some(file("key.pem", &creds.key)?);
    }
    if !request.client_tls_cert.is_empty() {
        config.security.tls_client_ca = Some(file("client.pem", &request.client_tls_cert)?);
    }
    let service = Conformance { max_message_bytes: config.max_message_bytes };
    config.guest = Some(Guest::new(Routes::default().add_service(service), DESCRIPTORS));
    Ok(config)
}

/// Reads the runner's request, which has its length in front of it.
fn read() -> Result<pb::ServerCompatRequest, Box<dyn Error>> {
    let mut stdin = io::stdin().lock();
    let mut length = [0; 4];
    stdin.read_exact(&mut length)?;
    let mut message = vec![0; u32::from_be_bytes(length).try_into()?];
    stdin.read_exact(&mut message)?;
    Ok(pb::ServerCompatRequest::decode(&message[..])?)
}

fn write(response: &pb::ServerCompatResponse) -> Result<(), Box<dyn Error>> {
    let message = response.encode_to_vec();
    let mut stdout = io::stdout().lock();
    stdout.write_all(&u32::try_from(message.len())?.to_be_bytes())?;
    stdout.write_all(&message)?;
    Ok(stdout.flush()?)
}
