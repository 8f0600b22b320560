//! A collector that is away, silent, not trusted, or refuses what it gets: calls are answered all the same.

use std::io::BufRead as _;

use evenkeel::config::{OtlpConfig, ServerConfig};
use rustix::process::Signal;
use tokio::{net::TcpListener, task::JoinSet};

use super::{
    collector::Collector,
    tls::{AT_ONCE, call, sending, trusting},
};
use crate::{authority::Authority, harness::start_with, process::Process, settings::log_until};

/// The words of the log when requests to the collector begin to fail.
const LOST: &str = "the collector does not take what is sent";
/// The words of the log when they succeed again.
const AGAIN: &str = "the collector takes what is sent again";

/// More calls than the queue of spans has places, with a collector that accepts connections and never answers, and with
/// none at the address.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_does_not_answer_stops_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let addresses = [&silent, &gone].map(|listener| listener.local_addr().expect("it is bound"));
    drop(gone);
    let mut served = JoinSet::new();
    for (scheme, address) in addresses.into_iter().flat_map(|address| ["http", "https"].map(|it| (it, address))) {
        let otlp = OtlpConfig { endpoint: Some(format!("{scheme}://{address}")), ..Default::default() };
        served.spawn(async {
            let (server, mut client) = start_with(ServerConfig { otlp, ..ServerConfig::on_free_port() }).await;
            for _ in 0..3000 {
                call(&mut client).await;
            }
            drop(client);
            server.shutdown_and_wait().await.expect("the wait for the collector has a bound");
        });
    }
    served.join_all().await;
}

/// The authority of the collector's certificate is not in the file: nothing is sent to it, and the log says so once.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_not_trusted_gets_nothing() {
    let (authority, another) = (Authority::new(), Authority::new());
    let (folder, mut collector) = (trusting(&authority), Collector::start(Some(another.sign())).await);
    let flags = sending(collector.address.port(), folder.path());
    let mut process = Process::start(&flags.each_ref().map(String::as_str), &[AT_ONCE]);
    let mut log = process.log();
    let mut client = process.client().await;
    call(&mut client).await;
    let line = log_until(&mut log, LOST);
    assert!(line.contains("traces") && line.contains("certificate"), "{line}");
    for _ in 0..100 {
        call(&mut client).await;
    }
    drop(client);
    assert_eq!(process.stop(Signal::TERM).0.code(), Some(0));
    let rest: Vec<_> = log.lines().map(|line| line.expect("the log is text")).collect();
    // Metrics are sent for the first time when the server ends.
    let said: Vec<_> = rest.iter().filter(|line| line.contains(LOST)).collect();
    assert!(said.iter().all(|line| line.contains("metrics")) && said.len() <= 1, "{said:?}");
    assert!(collector.traces.try_recv().is_err() && collector.metrics.try_recv().is_err(), "nothing was sent");
}

/// The log has a line for each change, and none in between.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_collector_does_is_said_when_it_changes() {
    let mut collector = Collector::start(None).await;
    let endpoint = format!("--otlp-endpoint=http://{}", collector.address);
    let mut process = Process::start(&["--listen=127.0.0.1:0", &endpoint], &[AT_ONCE]);
    let mut log = process.log();
    let mut client = process.client().await;
    for _ in 0..2 {
        collector.refuse(true);
        // Several requests, since the first to arrive may have been answered before `refuse`.
        for _ in 0..4 {
            call(&mut client).await;
            collector.next_spans().await;
        }
        collector.refuse(false);
        call(&mut client).await;
        let mut lost = 0;
        let mut line = String::new();
        while !line.contains(AGAIN) {
            line.clear();
            let read = log.read_line(&mut line).expect("the log is text, and says that it goes on");
            assert_ne!(read, 0, "the server has ended");
            lost += usize::from(line.contains(LOST));
            assert!(!line.contains("who are you?"), "a collector could repeat what it was told: {line}");
        }
        assert_eq!(lost, 1, "four were refused");
        while collector.traces.try_recv().is_ok() {}
    }
    drop(client);
    assert_eq!(process.stop(Signal::TERM).0.code(), Some(0));
}
