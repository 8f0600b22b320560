//! Row 30: thousands of calls without permission, beside a caller with permission.

use std::{fs, sync::Arc};

use tokio::task::JoinSet;
use tonic::Code;

use crate::{
    authority::{Authority, write},
    beside::{Caller, LITTLE, beside_caller},
    peer::{Peer, framed, request, status},
    process::Process,
    tls::{connect, serves},
};

const TOKEN: &str = "the-right-one";
/// The number of calls that are refused on each connection, and of connections.
const CALLS: usize = 2500;
const CONNECTIONS: usize = 4;
/// The number of handshakes of each client; each is refused.
const HANDSHAKES: usize = 300;

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_or_with_a_wrong_one() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let tokens = folder.path().join("tokens");
    fs::write(&tokens, TOKEN).expect("it can be written");
    let file = format!("--auth-token-file={}", tokens.display());
    let process = Process::start(&["--listen=127.0.0.1:0", "--log-level=error", &file], &[]);
    let address = process.address();
    let mut all = JoinSet::new();
    for _ in 0..CONNECTIONS {
        all.spawn(async move {
            let peer = Peer::connect(address).await;
            let wrong = [None, Some("Bearer the-right-on".to_owned()), Some(format!("Bearer {}", "x".repeat(4000)))];
            for token in wrong.iter().cycle().take(CALLS) {
                let mut request = request("Normalize");
                if let Some(token) = token {
                    request.headers_mut().insert("authorization", token.parse().expect("a header's value"));
                }
                let (answer, mut body) = peer.send(request).await.expect("the connection is open");
                // The server does not read it; an error means that the call has been answered.
                let _ = body.send_data(framed(&[0; 1000]), true);
                assert_eq!(status(answer).await.expect("an answer").code(), Code::Unauthenticated);
            }
        });
    }
    let caller = Caller::Plain { client: process.client().await, token: Some(TOKEN) };
    beside_caller(&process, caller, LITTLE, all.join_all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_certificate_or_with_another_authoritys() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let [authority, of_clients] = [(); 2].map(|()| Arc::new(Authority::new()));
    write(folder.path(), authority.sign());
    fs::write(folder.path().join("ca.pem"), of_clients.pem()).expect("it can be written");
    let file = |flag, name| format!("--{flag}={}", folder.path().join(name).display());
    let process = Process::start(
        &[
            "--listen=127.0.0.1:0",
            "--log-level=error",
            "--max-connections-per-peer=0",
            &file("tls-cert", "cert.pem"),
            &file("tls-key", "key.pem"),
            &file("tls-client-ca", "ca.pem"),
        ],
        &[],
    );
    let address = process.address();
    let good = connect(authority.client(Some(of_clients.sign()), b"h2"), address).await.expect("it has one");
    let mut all = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let certificates = [None, Some(authority.sign())];
        let settings = certificates.map(|certificate| authority.client(certificate, b"h2"));
        all.spawn(async move {
            for settings in settings.iter().cycle().take(HANDSHAKES) {
                // A server that refuses a certificate says so only after the client's handshake.
                if let Ok(peer) = connect(settings.clone(), address).await {
                    assert!(!serves(&peer).await, "it has no certificate, or another authority's");
                }
            }
        });
    }
    beside_caller(&process, Caller::Over(good), LITTLE, all.join_all()).await;
}
