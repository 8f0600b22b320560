//! The binary: its first line, its signals, its exit codes, its logs.
//!
//! Waiting for the process blocks the thread of the test, so these tests have a runtime of several threads: the clients
//! need another to close their connections.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::{SocketAddr, TcpListener},
    process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use evenkeel_proto::v1 as pb;
use pb::NormKind;
use prost::Message as _;
use rustix::process::{Pid, Signal, kill_process};
use tonic::transport::Endpoint;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::{
    beside::LITTLE,
    environment::without_environment,
    harness::{Client, f32s, normalize},
    peer::Peer,
    pipe::Pipe,
    resident::memory,
    until::{until, until_some_here},
};

/// The binary with these arguments, and with no variables but these.
pub(crate) fn evenkeel(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = piped(env!("CARGO_BIN_EXE_evenkeel"));
    command.args(arguments).envs(variables.iter().copied());
    command
}

/// A program without the environment of the tests, whose output is read.
pub(crate) fn piped(program: &str) -> Command {
    let mut command = without_environment(program);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A serving process; killed when the test ends early.
pub(crate) struct Process {
    pub(crate) child: Child,
    stdout: BufReader<Pipe<ChildStdout>>,
    pub(crate) url: String,
}

impl Process {
    pub(crate) fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::spawn(evenkeel(arguments, variables))
    }

    /// Starts a command that serves; its standard output is piped.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the binary starts");
        let mut stdout = BufReader::new(Pipe(child.stdout.take().expect("it is piped")));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("the address is printed, in text");
        let addr = line.strip_prefix("listening on ").and_then(|line| line.strip_suffix('\n'));
        let url = format!("http://{}", addr.unwrap_or_else(|| panic!("the first line is {line:?}")));
        Self { child, stdout, url }
    }

    /// `http://` and the address that was printed.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The address that was printed.
    pub(crate) fn address(&self) -> SocketAddr {
        self.url.trim_start_matches("http://").parse().expect("an address")
    }

    /// The memory of the process in bytes: now (`VmRSS`), or the most that it had (`VmHWM`).
    pub(crate) fn memory(&self, which: &str) -> usize {
        memory(self.child.id(), which).expect("the process lives")
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.url.clone()).await.expect("the address that was printed is served")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the process lives");
    }

    /// The log, line by line as it is written; [`stop`](Self::stop) then returns an empty log.
    pub(crate) fn log(&mut self) -> BufReader<Pipe<ChildStderr>> {
        BufReader::new(Pipe(self.child.stderr.take().expect("it is piped, and taken once")))
    }

    /// The address of the metrics, which the log has if it has the lines of `evenkeel::server`, and the rest of the log.
    pub(crate) fn metrics(&mut self) -> (SocketAddr, BufReader<Pipe<ChildStderr>>) {
        let mut log = self.log();
        let mut lines = log.by_ref().lines().map(|line| line.expect("the log is text"));
        let line = lines.find(|line| line.contains("serving metrics")).expect("it says where");
        let address = line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next());
        (address.and_then(|address| address.parse().ok()).expect("an address"), log)
    }

    /// Sends `signal`; returns the exit status, the rest of standard output, and standard error.
    pub(crate) fn stop(mut self, signal: Signal) -> (ExitStatus, String, String) {
        self.signal(signal);
        let (mut out, mut log) = (String::new(), String::new());
        self.stdout.read_to_string(&mut out).expect("the process ends, and its output is text");
        if let Some(rest) = self.child.stderr.take() {
            Pipe(rest).read_to_string(&mut log).expect("the log is text");
        }
        let ended = || self.child.try_wait().expect("it was started");
        (until_some_here("the process ends", ended), out, log)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails if the process has ended already, as is usual.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command line that must end by itself.
pub(crate) fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    evenkeel(arguments, variables).output().expect("the binary starts")
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_line_says_where_and_sigterm_ends_it_well() {
    for arguments in [&["--listen", "127.0.0.1:0"][..], &["serve", "--listen", "127.0.0.1:0"]] {
        for signal in [Signal::TERM, Signal::INT] {
            let process = Process::start(arguments, &[]);
            let mut client = process.client().await;
            client.normalize(normalize(NormKind::Layer, f32s(&[2], &[1.0, 2.0]))).await.expect("it serves");
            let (status, out, _) = process.stop(signal);
            assert_eq!(status.code(), Some(0), "{arguments:?} {signal:?}");
            assert_eq!(out, "", "standard output has one line");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_setting_can_come_from_the_environment() {
    let variables = [
        ("EVENKEEL_LISTEN", "127.0.0.1:0"),
        ("EVENKEEL_MAX_MESSAGE_BYTES", "2048"),
        ("EVENKEEL_THREADS", "1"),
        ("EVENKEEL_DRAIN_TIMEOUT", "1500ms"),
        ("EVENKEEL_LOG_LEVEL", "info"),
        ("EVENKEEL_LOG_FORMAT", "json"),
    ];
    let process = Process::start(&[], &variables);
    let large = normalize(NormKind::Layer, f32s(&[1024], &[1.0; 1024]));
    let status = process.client().await.normalize(large).await.expect_err("4 KiB are above the limit");
    assert_eq!(status.code(), tonic::Code::ResourceExhausted);
    let (status, _, log) = process.stop(Signal::TERM);
    assert_eq!(status.code(), Some(0));
    assert!(log.contains("1.5s"), "the drain timeout is logged: {log}");
    assert!(log.lines().all(|line| line.starts_with('{')), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flag_wins_over_the_environment() {
    let process = Process::start(&["--listen", "127.0.0.1:0"], &[("EVENKEEL_LISTEN", "not an address")]);
    process.client().await;
    assert_eq!(process.stop(Signal::TERM).0.code(), Some(0));
}

#[test]
fn a_wrong_setting_exits_64_and_is_named() {
    let wrong = [
        ("listen", "localhost"),
        ("listen", "127.0.0.1:65536"),
        ("max-message-bytes", "64MiB"),
        ("max-message-bytes", "0"),
        ("max-message-bytes", "4294967296"),
        ("max-stream-chunk-bytes", "1000"),
        ("threads", "-1"),
        ("threads", "100000"),
        ("serving-threads", "100000"),
        ("max-frame-bytes", "1"),
        ("stream-window-bytes", "4294967296"),
        ("drain-timeout", "20"),
        ("drain-timeout", "soon"),
        ("max-connections", "-1"),
        ("max-connections-per-peer", "many"),
        ("handshake-timeout", "0s"),
        ("idle-timeout", "5"),
        ("body-timeout", "never"),
        ("keep-alive-interval", "400days"),
        ("keep-alive-timeout", "0s"),
        ("max-connection-age", "-1s"),
        ("max-connection-age-grace", "1000years"),
        ("max-bytes-in-flight", "100000"),
        ("max-queued", "-1"),
        ("tls-cert", "cert.pem"),
        ("tls-key", "key.pem"),
        ("tls-client-ca", "ca.pem"),
        ("auth-token-file", "/nowhere/tokens"),
        ("auth-open-methods", "Health"),
        ("otlp-endpoint", "127.0.0.1:4317"),
        ("otlp-ca", "ca.pem"),
        ("otlp-cert", "cert.pem"),
        ("otlp-key", "key.pem"),
        ("otlp-headers-file", "headers"),
        ("listen", "0.0.0.0:0"),
        ("log-level", "loud"),
        ("log-level", "evenkeel=loud"),
        ("log-format", "xml"),
        ("connection-window-bytes", "4294967296"),
        ("max-streams-per-connection", "0"),
        ("compute-nice", "20"),
        ("buffer-pool-bytes", "-1"),
        ("metrics-listen", "9464"),
        ("allow-plaintext", "maybe"),
        ("grpc-web", "maybe"),
        ("connect", "maybe"),
        ("self-check", "maybe"),
        ("cors-origin", "app.example.com"),
        ("compression", "brotli"),
    ];
    let all = String::from_utf8(run(&["config"], &[]).stdout).expect("it is text");
    for line in all.lines().skip(1) {
        let key = line.trim_start_matches("# ").split(' ').next().expect("a line has words");
        assert!(wrong.iter().any(|(flag, _)| *flag == key), "nothing is tried with {key}");
    }
    for (flag, value) in wrong {
        let variable = format!("EVENKEEL_{}", flag.replace('-', "_").to_uppercase());
        for output in [run(&[&format!("--{flag}={value}")], &[]), run(&["serve"], &[(&variable, value)])] {
            assert_eq!(output.status.code(), Some(64), "{flag} {value}: {}", stderr(&output));
            assert!(stderr(&output).contains(&format!("--{flag}")), "{flag} {value}: {}", stderr(&output));
            assert!(output.stdout.is_empty(), "{flag} {value}");
        }
    }
}

#[test]
fn unknown_commands_and_flags_exit_64() {
    for arguments in [&["--bogus"][..], &["bogus"], &["serve", "--bogus"], &["serve", "bogus"]] {
        let output = run(arguments, &[]);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        assert!(stderr(&output).contains("bogus"), "{arguments:?}: {}", stderr(&output));
    }
}

/// A wrong variable of `serve` does not break another command.
#[test]
fn the_variables_of_serve_break_no_other_command() {
    for arguments in [&["help"][..], &["--help"], &["--version"], &["help", "serve"]] {
        let output = run(arguments, &[("EVENKEEL_LISTEN", "not an address"), ("EVENKEEL_THREADS", "many")]);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
        assert!(!output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_port_in_use_exits_1_and_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let addr = taken.local_addr().expect("it is bound").to_string();
    let output = run(&["--listen", &addr], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(&format!("cannot listen on {addr}")), "{}", stderr(&output));
    assert!(output.stdout.is_empty(), "nothing was announced");
}

/// Makes one valid and one invalid call, and returns the log.
async fn log_of_two_calls(format: &str) -> String {
    let process = Process::start(&["--listen=127.0.0.1:0", "--log-format", format], &[]);
    let mut client = process.client().await;
    client.normalize(normalize(NormKind::Layer, f32s(&[2, 3], &[1.0; 6]))).await.expect("it is a good request");
    let wrong = pb::NormalizeRequest { axes: vec![7], ..normalize(NormKind::Rms, f32s(&[2, 3], &[1.0; 6])) };
    client.normalize(wrong).await.expect_err("there is no axis 7");
    process.stop(Signal::TERM).2
}

#[tokio::test(flavor = "multi_thread")]
async fn a_json_log_has_one_event_for_each_call() {
    let log = log_of_two_calls("json").await;
    let events: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"))).collect();
    let ends: Vec<_> = events.iter().filter(|event| event["fields"]["message"] == "call ended").collect();
    assert_eq!(ends.len(), 2, "{log}");
    for (end, (status, kind)) in ends.iter().zip([("OK", "layer"), ("INVALID_ARGUMENT", "rms")]) {
        assert_eq!(end["level"], "INFO");
        let fields = &end["fields"];
        assert_eq!((&fields["method"], &fields["status"]), (&"Normalize".into(), &status.into()));
        assert_eq!(
            (&fields["kind"], &fields["dtype"], &fields["shape"]),
            (&kind.into(), &"float32".into(), &"[2, 3]".into())
        );
        // An invalid call is refused before it is queued or computed.
        let numbers = if status == "OK" { &["elapsed_us", "queue_us", "compute_us"][..] } else { &["elapsed_us"] };
        for &number in numbers {
            assert!(fields[number].is_u64(), "{number}: {end}");
        }
        // Six elements of float32, and the fields around them.
        assert!(fields["received_bytes"].as_u64().is_some_and(|bytes| (24..64).contains(&bytes)), "{end}");
    }
    assert!(ends[1]["fields"]["error"].as_str().is_some_and(|error| error.starts_with("axes[0]: ")), "{}", ends[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_log_has_the_same_fields() {
    let log = log_of_two_calls("text").await;
    let ends: Vec<_> = log.lines().filter(|line| line.contains("call ended")).collect();
    assert_eq!(ends.len(), 2, "{log}");
    for field in
        ["method=\"Normalize\"", "kind=\"layer\"", "dtype=\"float32\"", "shape=[2, 3]", "queue_us=", "compute_us="]
    {
        assert!(ends[0].contains(field), "{field} is not in {}", ends[0]);
    }
    assert!(ends[0].contains("status=\"OK\"") && ends[0].contains("elapsed_us="), "{}", ends[0]);
    assert!(ends[1].contains("status=\"INVALID_ARGUMENT\"") && ends[1].contains("axes[0]"), "{}", ends[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_level_silences_what_is_below_it() {
    let process = Process::start(&["--listen=127.0.0.1:0", "--log-level=error"], &[]);
    let mut client = process.client().await;
    client.normalize(normalize(NormKind::Layer, f32s(&[2], &[1.0; 2]))).await.expect("it is a good request");
    assert_eq!(process.stop(Signal::TERM).2, "");
}

/// Row 31: the server answers each call that it has begun; for any other, GOAWAY tells the client that it was not begun
/// and can go to another server. A client that watches the health is told, and the drain takes no more memory than the
/// load.
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load_loses_no_call() {
    // So few connections that any limit on open files has room for them; otherwise the log would have a line about it.
    let process = Process::start(&["--listen=127.0.0.1:0", "--log-level=warn", "--max-connections=100"], &[]);
    let message = normalize(NormKind::Layer, f32s(&[64, 64], &[1.0; 4096])).encode_to_vec();
    let served = Arc::new(AtomicUsize::new(0));
    let mut callers = Vec::new();
    for _ in 0..4 {
        let peer = Arc::new(Peer::connect(process.address()).await);
        for _ in 0..8 {
            let (peer, message, served) = (Arc::clone(&peer), message.clone(), Arc::clone(&served));
            callers.push(tokio::spawn(async move {
                loop {
                    match peer.call("Normalize", &message).await {
                        Ok(status) => assert_eq!(status.code(), tonic::Code::Ok, "{status:?}"),
                        Err(error) => break error,
                    }
                    served.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
    }
    until("500 calls are served", async || served.load(Ordering::Relaxed) >= 500).await;
    let channel = Endpoint::from_shared(process.url().to_owned()).expect("the URL is one").connect().await;
    let mut health = HealthClient::new(channel.expect("it is served"));
    let mut watch = health.watch(HealthCheckRequest::default()).await.expect("it can be watched").into_inner();
    assert_eq!(watch.message().await.expect("open").map(|answer| answer.status()), Some(ServingStatus::Serving));
    let told = tokio::spawn(async move { watch.message().await.expect("it is told") });
    let (id, before) = (process.child.id(), process.memory("VmRSS"));
    let most = tokio::spawn(async move {
        let mut most = before;
        // Until the process has ended.
        while let Some(now) = memory(id, "VmHWM") {
            most = now;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        most
    });
    let (status, _, log) = tokio::task::spawn_blocking(|| process.stop(Signal::TERM)).await.expect("no panic");
    assert_eq!((status.code(), log.as_str()), (Some(0), ""));
    assert_eq!(told.await.expect("no panic").map(|answer| answer.status()), Some(ServingStatus::NotServing));
    // The last count of a process that ends may be smaller than before.
    let grown = most.await.expect("no panic").saturating_sub(before);
    eprintln!("grew by {} KiB", grown >> 10);
    assert!(grown < LITTLE, "{grown} bytes");
    for caller in callers {
        let error = caller.await.expect("every answer is good");
        // The call was not begun: its stream came after GOAWAY.
        assert!(error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR), "{error:?}");
    }
}
