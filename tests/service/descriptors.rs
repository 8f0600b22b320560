//! Limits on open files, and servers that reach them.

use std::{fs, net::TcpStream, process::Command};

use evenkeel_proto::v1::NormKind;
use rustix::process::Signal;

use crate::{
    harness::{f32s, normalize},
    process::{Process, piped},
    settings::log_until,
};

/// The binary with these arguments, started by a shell that first runs `limits`, for example `ulimit -n 100`.
fn evenkeel_within(limits: &str, arguments: &[&str]) -> Command {
    let mut command = piped("sh");
    command.args(["-c", &format!("{limits}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_evenkeel")]).args(arguments);
    command
}

/// A soft limit on open files that is too low for `--max-connections` is raised; if the hard limit is too low, the log
/// says so.
#[tokio::test(flavor = "multi_thread")]
async fn the_limit_on_open_files_is_raised_or_said() {
    let start = |limits| {
        let arguments = ["--listen=127.0.0.1:0", "--max-connections=150", "--log-level=warn"];
        Process::spawn(evenkeel_within(limits, &arguments))
    };
    let raised = start("ulimit -S -n 100; ulimit -H -n 400");
    let limits = fs::read_to_string(format!("/proc/{}/limits", raised.child.id())).expect("the process lives");
    let files = limits.lines().find(|line| line.starts_with("Max open files")).expect("Linux says so");
    assert_eq!(files.split_whitespace().skip(3).take(2).collect::<Vec<_>>(), ["400", "400"]);
    assert_eq!(raised.stop(Signal::TERM).2, "", "there is nothing to be said");

    let (status, _, log) = start("ulimit -n 100").stop(Signal::TERM);
    assert_eq!(status.code(), Some(0));
    let said = ["open_files=100", "max_connections=150", "fitting=36"];
    assert!(said.iter().all(|part| log.contains(part)), "{log}");
}

/// A server that has no file descriptor left for a connection goes on when it has one again.
#[tokio::test(flavor = "multi_thread")]
async fn a_want_of_file_descriptors_passes() {
    const FILES: usize = 40;
    let arguments = ["--listen=127.0.0.1:0", "--max-connections=0", "--log-level=warn"];
    let mut process = Process::spawn(evenkeel_within(&format!("ulimit -n {FILES}"), &arguments));
    let address = process.address();
    // The kernel completes all of these connections, and queues them; the server can accept only as many as it may open
    // files, and says so.
    let many: Vec<_> = (0..2 * FILES).map(|_| TcpStream::connect(address).expect("the kernel accepts")).collect();
    let mut log = process.log();
    log_until(&mut log, "no connection can be accepted");
    drop(many);
    let mut client = process.client().await;
    client.normalize(normalize(NormKind::Layer, f32s(&[2], &[1.0, 2.0]))).await.expect("it serves");
    assert_eq!(process.stop(Signal::TERM).0.code(), Some(0));
}
