//! A log that cannot be written: the server still answers, counts the lines that are lost, and exits with 0.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{self, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
};

use evenkeel_proto::v1::NormKind;
use rustix::process::{Pid, Signal, kill_process};
use tokio::task::JoinSet;

use crate::{
    harness::{Client, f32s, normalize},
    peer::PREFACE,
    process::{Process, evenkeel, run, stderr},
    socket_folder::socket_folder,
    until::{NEVER, until, until_some, within},
};

/// More lines than a pipe and the queue before it hold: each call has one.
const MANY: usize = 10_000;

/// An address for the metrics that is chosen here: a port that the server had chosen would be told in its log, which
/// these tests break. Each process has a loopback address of its own, and each test a port below those that the kernel
/// assigns.
fn free_port() -> SocketAddr {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let [_, high, middle, low] = process::id().to_be_bytes();
    ([127, 1 + high, middle, low], 20_000 + TAKEN.fetch_add(1, Ordering::Relaxed)).into()
}

fn serving(metrics: SocketAddr) -> Command {
    evenkeel(&["--listen=127.0.0.1:0", &format!("--metrics-listen={metrics}"), "--log-level=info"], &[])
}

/// A device that is always full.
fn full_disk() -> File {
    OpenOptions::new().write(true).open("/dev/full").expect("Linux has it")
}

/// Makes calls, several at a time; each must be answered.
async fn call(client: &Client, calls: usize) {
    const AT_A_TIME: usize = 16;
    let mut callers = JoinSet::new();
    for _ in 0..AT_A_TIME {
        let mut client = client.clone();
        callers.spawn(async move {
            for _ in 0..calls.div_ceil(AT_A_TIME) {
                let request = normalize(NormKind::Layer, f32s(&[2], &[1.0, 2.0]));
                within("an answer, of a server that does not wait for its log", client.normalize(request))
                    .await
                    .expect("a good one");
            }
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended.expect("every call is answered");
    }
}

fn lost(metrics: SocketAddr) -> u64 {
    let mut stream = TcpStream::connect(metrics).expect("the metrics are served");
    stream.set_read_timeout(Some(NEVER)).expect("it is not zero");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("the request is taken");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer in text, and its end");
    let value = answer.lines().find_map(|line| line.strip_prefix("evenkeel_log_lines_lost_total "));
    value.expect("the series is there").parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_costs_lines_and_nothing_else() {
    let metrics = free_port();
    let mut command = serving(metrics);
    command.stderr(full_disk());
    let process = Process::spawn(command);
    call(&process.client().await, 100).await;
    // Lines are written by another thread than the calls, so the last of them may come later.
    until("every call has a line, and each is lost", async || lost(metrics) >= 100).await;
    assert_eq!(process.stop(Signal::TERM).0.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_gone_costs_lines_and_nothing_else() {
    let metrics = free_port();
    let mut process = Process::spawn(serving(metrics));
    drop(process.log());
    call(&process.client().await, 100).await;
    until("lines are lost", async || lost(metrics) > 0).await;
    assert_eq!(process.stop(Signal::TERM).0.code(), Some(0));
}

/// The pipe of the log is not read: a thread that wrote to it would block for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_hangs_holds_up_no_call_and_not_the_end() {
    let metrics = free_port();
    let mut process = Process::spawn(serving(metrics));
    let unread = process.log();
    call(&process.client().await, MANY).await;
    assert!(lost(metrics) > 0, "{MANY} lines fit nowhere");
    let stopped = tokio::task::spawn_blocking(move || process.stop(Signal::TERM));
    let (status, _, _) = stopped.await.expect("it ends");
    assert_eq!(status.code(), Some(0));
    drop(unread);
}

/// Not even the line with the address can be written.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_print_its_address_serves() {
    let folder = socket_folder();
    let socket = folder.path().join("socket");
    let url = format!("unix:{}", socket.display());
    let mut command = evenkeel(&["--listen", &url], &[]);
    let mut child = command.stdout(full_disk()).stderr(full_disk()).stdin(Stdio::null()).spawn().expect("it starts");
    let client = until_some("it listens", async || Client::connect(url.clone()).await.ok()).await;
    call(&client, 100).await;
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it lives");
    let status = until_some("it ends", async || child.try_wait().expect("it was started")).await;
    assert_eq!(status.code(), Some(0));
}

/// The HTTP/2 library logs a warning for each acknowledgement of a ping that it never sent: a client that sends many
/// must not fill the log.
#[tokio::test(flavor = "multi_thread")]
async fn frames_that_are_wrong_write_no_lines() {
    const FRAMES: usize = 1000;
    /// An answer to a ping: 8 bytes, type 6, the flag ACK, on the connection.
    const PONG: &[u8] = b"\0\0\x08\x06\x01\0\0\0\0unasked!";
    let process = Process::start(&["--listen=127.0.0.1:0", "--log-level=info"], &[]);
    let mut stream = TcpStream::connect(process.address()).expect("the server listens");
    stream.set_read_timeout(Some(NEVER)).expect("it is not zero");
    stream.write_all(PREFACE).expect("it is taken");
    stream.write_all(&PONG.repeat(FRAMES)).expect("they are taken");
    // A ping after them: once it is answered, all of them have been read.
    stream.write_all(b"\0\0\x08\x06\0\0\0\0\0the last").expect("it is taken");
    let mut answer = Vec::new();
    while !answer.windows(8).any(|bytes| bytes == b"the last") {
        let mut more = [0; 1024];
        let read = stream.read(&mut more).expect("the ping is answered");
        assert!(read > 0, "the connection has ended");
        answer.extend_from_slice(&more[..read]);
    }
    call(&process.client().await, 16).await;
    let (status, _, log) = process.stop(Signal::TERM);
    assert_eq!(status.code(), Some(0));
    assert!(log.lines().count() < 100, "{log}");
    assert_eq!(log.lines().filter(|line| line.contains("Normalize")).count(), 16, "{log}");
}

/// The error about a wrong setting cannot be written, but the exit code is still 64.
#[test]
fn the_exit_code_is_the_same_where_nothing_can_be_printed() {
    let mut command = evenkeel(&["--listen=nowhere"], &[]);
    let status = command.stdout(full_disk()).stderr(full_disk()).status().expect("it starts");
    assert_eq!(status.code(), Some(64));
}

/// With `--log-format=json` every line is JSON, also of a server that does not start.
#[test]
fn a_log_of_json_is_json_to_its_last_line() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let address = taken.local_addr().expect("it is bound");
    let output = run(&[&format!("--listen={address}"), "--log-format=json"], &[]);
    assert_eq!(output.status.code(), Some(1));
    let log = stderr(&output);
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect();
    let last = lines.last().expect("there is a line");
    assert!(last["fields"]["error"].as_str().is_some_and(|error| error.contains("cannot listen")), "{last}");
}
