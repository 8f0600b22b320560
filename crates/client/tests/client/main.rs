//! The client against a real server, and against fake ones, which send responses that evenkeel never sends.

mod calls;
mod connections;
mod deadlines;
mod examples;
mod fake;
mod layouts;
mod lies;
mod measure;
mod server_info;
mod statuses;
mod streams;
mod tls;
mod tokens;

use std::error::Error;

use evenkeel::{config::ServerConfig, server::Running};
use evenkeel_client::Client;
use evenkeel_testing::{authority, environment, socket_folder, until};

type TestResult = Result<(), Box<dyn Error>>;

/// A real server on a free port, and a client of it.
async fn start() -> Result<(Running, Client), Box<dyn Error>> {
    let server = Running::start(ServerConfig::on_free_port()).await?;
    let client = Client::connect(server.url()).await?;
    Ok((server, client))
}
