//! Certificates of the connection to the collector that change while the server runs.

use std::{fs, net::SocketAddr};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use rustix::process::Signal;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tonic::Request;

use super::{
    collector::Collector,
    tls::{AT_ONCE, call, sending, trusting},
};
use crate::{
    authority::{Authority, write},
    harness::Client,
    process::Process,
    settings::log_until,
    until::until_some,
};

/// The words of the log for a change that is used, and for one that cannot be used.
const USED: &str = "files have changed and are used";
const UNUSABLE: &str = "files have changed and cannot be used";

/// A proxy between the server and the collector that can close all connections.
struct Between {
    address: SocketAddr,
    cut: tokio::sync::watch::Sender<()>,
    _serving: JoinSet<()>,
}

impl Between {
    async fn and(collector: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let cut = tokio::sync::watch::Sender::new(());
        let (mut serving, told) = (JoinSet::new(), cut.subscribe());
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut from, _)) = listener.accept().await {
                let mut told = told.clone();
                told.mark_unchanged();
                let mut to = TcpStream::connect(collector).await.expect("the collector listens");
                connections.spawn(async move {
                    tokio::select! {
                        _ = copy_bidirectional(&mut from, &mut to) => (),
                        _ = told.changed() => (),
                    }
                });
            }
        });
        Self { address, cut, _serving: serving }
    }

    fn cut(&self) {
        self.cut.send_replace(());
    }
}

/// Makes calls until the collector has a request that came over another connection than `before`.
async fn sent(
    collector: &mut Collector,
    client: &mut Client,
    before: Option<SocketAddr>,
) -> Request<ExportTraceServiceRequest> {
    let another = async || {
        call(client).await;
        collector.traces.try_recv().ok().filter(|request| request.remote_addr() != before)
    };
    until_some("spans come through another connection", another).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_shown_and_a_bad_one_is_not() {
    let (authority, of_clients) = (Authority::new(), Authority::new());
    let folder = trusting(&authority);
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    write(folder.path(), of_clients.sign());
    let first = CertificateDer::from_pem_file(&cert).expect("PEM");
    let mut collector = Collector::start_mutual(authority.sign(), of_clients.pem()).await;
    let between = Between::and(collector.address).await;
    let mut flags = sending(between.address.port(), folder.path()).to_vec();
    flags.extend([format!("--otlp-cert={}", cert.display()), format!("--otlp-key={}", key.display())]);
    let mut process = Process::start(&flags.iter().map(String::as_str).collect::<Vec<_>>(), &[AT_ONCE]);
    let (mut log, mut client) = (process.log(), process.client().await);
    let shown = |request: &Request<_>| request.peer_certs().expect("it has seen a certificate")[0].clone();

    let request = sent(&mut collector, &mut client, None).await;
    assert_eq!(shown(&request), first);

    // Half of a change: the new key does not belong to the old certificate.
    fs::write(&key, of_clients.sign().1).expect("it can be written");
    let line = log_until(&mut log, UNUSABLE);
    assert!(line.contains("--otlp-key") && !line.contains("PRIVATE"), "{line}");
    between.cut();
    let request = sent(&mut collector, &mut client, request.remote_addr()).await;
    assert_eq!(shown(&request), first);

    write(folder.path(), of_clients.sign());
    let second = CertificateDer::from_pem_file(&cert).expect("PEM");
    log_until(&mut log, USED);
    between.cut();
    let request = sent(&mut collector, &mut client, request.remote_addr()).await;
    assert_eq!(shown(&request), second);
    drop(client);
    assert_eq!(process.stop(Signal::TERM).0.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_whose_authority_comes_later_gets_what_is_sent_from_then_on() {
    let (authority, another) = (Authority::new(), Authority::new());
    let (folder, mut collector) = (trusting(&another), Collector::start(Some(authority.sign())).await);
    let flags = sending(collector.address.port(), folder.path());
    let mut process = Process::start(&flags.each_ref().map(String::as_str), &[AT_ONCE]);
    let (mut log, mut client) = (process.log(), process.client().await);
    call(&mut client).await;
    log_until(&mut log, "the collector does not take what is sent");
    fs::write(folder.path().join("ca.pem"), authority.pem()).expect("it can be written");
    log_until(&mut log, USED);
    sent(&mut collector, &mut client, None).await;
    drop(client);
    assert_eq!(process.stop(Signal::TERM).0.code(), Some(0));
}
