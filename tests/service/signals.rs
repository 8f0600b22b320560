//! Row 48: a second signal to stop, and SIGHUP without a configuration file.

use std::process::Command;

use prost::Message as _;
use rustix::process::Signal;

use crate::{
    harness::{dropout, f32s, normalize},
    peer::{Peer, prefix},
    process::{Process, piped},
    settings::log_until,
};

/// A server that is started by another program, which first sets the handling of SIGHUP. A process inherits it, and
/// without this the result would differ when the tests run under `nohup`.
fn behind(program: &str, arguments: &[&str]) -> Command {
    let mut command = piped(program);
    command.args(arguments).args([env!("CARGO_BIN_EXE_evenkeel"), "--listen=127.0.0.1:0"]);
    command
}

async fn serves(process: &Process) {
    let request = normalize(evenkeel_proto::v1::NormKind::Layer, f32s(&[2], &[1.0; 2]));
    process.client().await.normalize(request).await.expect("it serves");
}

/// A call is in flight: without the second signal the server would wait for it, and exit with 1.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_at_once() {
    for (first, second, code) in
        [(Signal::TERM, Signal::TERM, 143), (Signal::INT, Signal::INT, 130), (Signal::TERM, Signal::INT, 130)]
    {
        let mut process = Process::start(&["--listen=127.0.0.1:0", "--drain-timeout=60s"], &[]);
        let mut log = process.log();
        let peer = Peer::connect(process.address()).await;
        let (_answer, mut body) = peer.begin("Dropout").await;
        body.send_data(prefix(1000), false).expect("the connection is open");
        // Once a later call is answered, the server has the first as well.
        let message = dropout(0.0, f32s(&[1], &[1.0])).encode_to_vec();
        assert_eq!(peer.call("Dropout", &message).await.expect("an answer").code(), tonic::Code::Ok);
        process.signal(first);
        log_until(&mut log, "draining");
        let status = tokio::task::spawn_blocking(move || process.stop(second).0).await.expect("no panic");
        assert_eq!(status.code(), Some(code), "{first:?} and {second:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_without_a_file_says_that_there_is_none() {
    let mut process = Process::spawn(behind("env", &["--default-signal=HUP"]));
    let mut log = process.log();
    for _ in 0..2 {
        process.signal(Signal::HUP);
        log_until(&mut log, "there is no configuration file to read again");
        serves(&process).await;
    }
    assert_eq!(process.stop(Signal::TERM).0.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_that_is_ignored_stays_so() {
    let process = Process::spawn(behind("sh", &["-c", "trap '' HUP; exec \"$0\" \"$@\""]));
    process.signal(Signal::HUP);
    serves(&process).await;
    let (status, _, log) = process.stop(Signal::TERM);
    assert_eq!(status.code(), Some(0));
    assert!(log.contains("call ended") && !log.contains("configuration file"), "{log}");
}
