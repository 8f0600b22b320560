//! Floods of the metrics' port.

use std::fs;

use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::{metrics::scrape_at, process::Process};

/// The number of threads of a process.
fn threads(process: &Process) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", process.child.id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("Threads:")).expect("Linux counts threads");
    line.trim().parse().expect("a number")
}

/// The metrics are written by two threads at a time. A connection that is closed for a newer one leaves its thread behind until the
/// text is there, so the place of a writer goes with the thread.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_scrapes_takes_two_threads() {
    let flags = ["--listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0", "--log-level=error,evenkeel::server=info"];
    let mut process = Process::start(&flags, &[]);
    let (metrics, _log) = process.metrics();
    scrape_at(metrics).await;
    let before = threads(&process);
    let (mut open, mut most) = (Vec::new(), before);
    for _ in 0..1000 {
        let mut stream = TcpStream::connect(metrics).await.expect("somebody listens");
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("it is taken");
        open.push(stream);
        most = most.max(threads(&process));
    }
    // Usually 3: two writers, and one that reads files. If a writer's place went with its connection, there would be 13 to 25.
    eprintln!("{} threads more", most - before);
    assert!(most <= before + 8, "{most} threads, and {before} before");
    drop(open);
    scrape_at(metrics).await;
}
