//! The client against a real server, and against fake ones that answer what no evenkeel would.

#[path = "../../../../tests/service/authority.rs"]
mod authority;
mod calls;
mod connections;
mod deadlines;
#[path = "../../../../tests/service/environment.rs"]
mod environment;
mod examples;
mod fake;
mod layouts;
mod lies;
mod measure;
mod server_info;
#[path = "../../../../tests/service/socket_folder.rs"]
mod socket_folder;
mod statuses;
mod tls;
mod tokens;
#[path = "../../../../tests/service/until.rs"]
#[expect(dead_code, reason = "these tests look at nothing again and again")]
mod until;

use std::error::Error;

use evenkeel::{config::ServerConfig, server::Running};
use evenkeel_client::Client;

type TestResult = Result<(), Box<dyn Error>>;

/// A real server on a free port, and a client of it.
async fn start() -> Result<(Running, Client), Box<dyn Error>> {
    let server = Running::start(ServerConfig::on_free_port()).await?;
    let client = Client::connect(server.url()).await?;
    Ok((server, client))
}
