//! The adapter of this client for the conformance cases (`conformance/README.md`): answers each line of standard input with a line.

#![expect(clippy::print_stdout, reason = "the answers go to standard output")]

mod calls;
mod local;
mod values;

use std::{collections::HashMap, io::BufRead as _, num::NonZeroUsize, time::Duration};

use evenkeel_client::{Builder, Client, Error};
use serde_json::{Value, json};

/// Why a request has no result.
enum Failure {
    Error(Error),
    /// The request has an argument that this client cannot even be given.
    Argument(String),
    Unsupported(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

type Answer = Result<Value, Failure>;

// Connections are driven on other threads while this one waits for the next line.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut clients = HashMap::new();
    for line in std::io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line?)?;
        let mut answer = match answer(&request, &mut clients).await {
            Ok(result) => json!({"result": result}),
            Err(Failure::Unsupported(reason)) => json!({"unsupported": reason}),
            Err(Failure::Argument(field)) => json!({"error": values::error("INVALID_ARGUMENT", vec![field])}),
            Err(Failure::Error(error)) => {
                let mut described = values::describe(&error);
                described["message"] = json!(error.to_string());
                json!({"error": described})
            }
        };
        answer["id"] = request["id"].clone();
        println!("{answer}");
    }
    Ok(())
}

async fn answer(request: &Value, clients: &mut HashMap<String, Client>) -> Answer {
    let (op, arguments) = (request["op"].as_str().unwrap_or_default(), &request["args"]);
    if let Some(answer) = local::answer(op, arguments) {
        return answer;
    }
    let key = request["client"].to_string();
    if !clients.contains_key(&key) {
        clients.insert(key.clone(), connect(&request["client"])?);
    }
    let mut client = clients[&key].clone();
    if let Some(limit) = request["timeout_ms"].as_u64() {
        client = client.with_timeout(Duration::from_millis(limit));
    }
    let call = calls::answer(&client, op, arguments, request["digest"] == true);
    match request["cancel_after_ms"].as_u64() {
        None => call.await,
        // A future that is dropped cancels its call.
        Some(after) => tokio::time::timeout(Duration::from_millis(after), call).await.unwrap_or_else(|_| {
            let dropped = tonic::Status::cancelled("the call was dropped");
            Err(Failure::Error(Error::Status(Box::new(dropped))))
        }),
    }
}

/// A client with these settings, which connects with its first call.
fn connect(settings: &Value) -> Result<Client, Failure> {
    let text = |name: &str| settings[name].as_str();
    let file = |name: &str| text(name).map(|path| std::fs::read(path).expect("the runner has written the file"));
    let mut builder: Builder = Client::builder().max_message_bytes(256 << 20).timeout(Duration::from_secs(60));
    if let Some(token) = text("token") {
        builder = builder.token(token).allow_plaintext(true);
    }
    let ca = file("ca");
    let address = text("address").expect("a client has an address");
    let url = match &ca {
        _ if address.starts_with("unix:") => address.to_owned(),
        Some(_) => format!("https://{address}"),
        None => format!("http://{address}"),
    };
    if let Some(ca) = ca {
        builder = builder.tls_ca(ca);
    }
    if let (Some(cert), Some(key)) = (file("cert"), file("key")) {
        builder = builder.tls_cert(cert).tls_key(key);
    }
    if let Some(name) = text("server_name") {
        builder = builder.tls_server_name(name);
    }
    if let Some(connections) = settings["connections"].as_u64().and_then(|count| NonZeroUsize::new(count as usize)) {
        builder = builder.connections(connections);
    }
    Ok(builder.connect_lazy(url)?)
}
