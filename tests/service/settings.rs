//! Settings of the binary by flag, environment variable, file and default.

use std::{fs, io::BufRead, path::PathBuf, time::Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::{
    harness::{f32s, normalize},
    process::{Process, run, stderr},
    until::{NEVER, in_vain},
};

/// A configuration file with this text, and its folder, which is removed when it is dropped.
fn file(text: &str) -> (TempDir, String) {
    let folder = TempDir::new().expect("a folder");
    let path: PathBuf = folder.path().join("evenkeel.toml");
    fs::write(&path, text).expect("the folder can be written to");
    let path = path.to_str().expect("a text").to_owned();
    (folder, path)
}

/// What `evenkeel config` prints.
#[track_caller]
fn config(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let arguments: Vec<&str> = ["config"].iter().chain(arguments).copied().collect();
    let output = run(&arguments, variables);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_flag_counts_more_than_the_environment_than_the_file_than_the_default() {
    let (_folder, path) = file("threads = 1\nmax-message-bytes = 4096\nlog-level = \"warn\"\n");
    let variables = [("EVENKEEL_THREADS", "2"), ("EVENKEEL_MAX_MESSAGE_BYTES", "8192"), ("EVENKEEL_CONFIG", &path)];
    let text = config(&["--threads", "3"], &variables);
    for line in [
        "threads = 3 # flag".to_owned(),
        "max-message-bytes = 8192 # EVENKEEL_MAX_MESSAGE_BYTES".to_owned(),
        format!("log-level = \"warn\" # file {path:?}"),
        "drain-timeout = \"20s\" # default".to_owned(),
        "# metrics-listen is not set".to_owned(),
    ] {
        assert!(text.lines().any(|given| given == line), "{line} is not in\n{text}");
    }
}

#[test]
fn what_is_printed_says_the_same_when_it_is_read_again() {
    let flags = ["--listen=unix:/run/a \"b\"", "--threads=2", "--metrics-listen=127.0.0.1:0", "--codec-path"];
    let first = config(&flags, &[("EVENKEEL_LOG_LEVEL", "warn,evenkeel=debug")]);
    let (_folder, path) = file(&first);
    let again = config(&["--config", &path], &[]);
    let values = |text: &str| -> Vec<String> {
        text.lines().skip(1).map(|line| line.split(" # ").next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(values(&first), values(&again));
    assert!(again.contains("codec-path = true"), "{again}");
    assert!(again.lines().skip(1).all(|line| line.starts_with("# ") || line.contains(" # file ")), "{again}");
}

#[test]
fn lists_come_from_the_file_and_the_environment() {
    let (_folder, path) = file(
        "grpc-web = true\ncors-origin = [\"https://a.example\", \"http://localhost:1\"]\ncompression = [\"gzip\"]\n",
    );
    let text = config(&["--config", &path], &[("EVENKEEL_COMPRESSION", "gzip,zstd")]);
    for line in [
        format!("grpc-web = true # file {path:?}"),
        format!("cors-origin = [\"https://a.example\", \"http://localhost:1\"] # file {path:?}"),
        "compression = [\"gzip\", \"zstd\"] # EVENKEEL_COMPRESSION".to_owned(),
    ] {
        assert!(text.lines().any(|given| given == line), "{line} is not in\n{text}");
    }
    for (arguments, key) in [
        (&["--cors-origin=https://a.example", "--connect=false"][..], "grpc-web"),
        (&["--grpc-web", "--cors-origin=https://a.example/"], "cors-origin"),
        (&["--compression=brotli"], "compression"),
    ] {
        let output = run(&[&["config"], arguments].concat(), &[]);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        assert!(stderr(&output).contains(key), "{arguments:?}: {}", stderr(&output));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_takes_its_file() {
    let text = "listen = \"127.0.0.1:0\"\nmax-message-bytes = 2048\nlog-format = \"json\"\ncodec-path = false\n";
    let (_folder, path) = file(text);
    for (arguments, variables) in [(&["--config", &path][..], &[][..]), (&[], &[("EVENKEEL_CONFIG", path.as_str())])] {
        let process = Process::start(arguments, variables);
        let large = normalize(evenkeel_proto::v1::NormKind::Layer, f32s(&[1024], &[1.0; 1024]));
        let status = process.client().await.normalize(large).await.expect_err("4 KiB are above the limit");
        assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        let (status, _, log) = process.stop(Signal::TERM);
        assert_eq!(status.code(), Some(0));
        assert!(log.lines().all(|line| line.starts_with('{')), "{log}");
    }
}

#[test]
fn a_wrong_file_exits_64_and_names_itself_and_its_key() {
    for (text, names) in [
        ("threads = \"many\"\n", &["threads", "many"][..]),
        ("threads = 1.5\n", &["threads", "1.5"]),
        ("threads = [1]\n", &["threads", "array"]),
        ("threads = 100000\n", &["threads", "4096"]),
        ("max-message-bytes = 12\n", &["max-message-bytes", "12"]),
        ("codec-path = 1\n", &["codec-path", "true or false"]),
        ("log-format = \"xml\"\n", &["log-format", "text, json"]),
        ("log-level = \"loud\"\n", &["log-level", "loud"]),
        ("[server]\nthreads = 1\n", &["unknown key 'server'"]),
        ("max_message_bytes = 4096\n", &["unknown key 'max_message_bytes'"]),
        ("config = \"another\"\n", &["unknown key 'config'"]),
        ("help = true\n", &["unknown key 'help'"]),
        ("threads = 1\nthreads = 2\n", &["duplicate key", "line 2"]),
        ("threads\n", &["line 1"]),
    ] {
        let (_folder, path) = file(text);
        for command in ["serve", "config"] {
            let output = run(&[command, "--config", &path], &[]);
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(64), "{command} {text:?}: {said}");
            assert!(said.contains(&path), "{text:?}: {said}");
            for name in names {
                assert!(said.contains(name), "{text:?}: {name} is not in {said}");
            }
            assert!(output.stdout.is_empty(), "{text:?}");
        }
    }
    // A wrong value is an error also if a flag overrides it.
    let (_folder, path) = file("threads = \"many\"\n");
    let output = run(&["config", "--threads=1", "--config", &path], &[]);
    assert_eq!(output.status.code(), Some(64), "{}", stderr(&output));
}

#[test]
fn a_file_that_is_not_there_exits_64_and_is_named() {
    let output = run(&["serve", "--config", "/nowhere/evenkeel.toml"], &[]);
    assert_eq!(output.status.code(), Some(64));
    assert!(stderr(&output).contains("/nowhere/evenkeel.toml"), "{}", stderr(&output));
}

#[test]
fn an_error_of_another_place_does_not_blame_the_file() {
    let (_folder, path) = file("threads = 1\n");
    let output = run(&["config", "--config", &path], &[("EVENKEEL_THREADS", "100000")]);
    assert_eq!(output.status.code(), Some(64));
    assert!(!stderr(&output).contains(&path) && stderr(&output).contains("EVENKEEL_THREADS"), "{}", stderr(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_check_asks_where_the_file_says() {
    let process = Process::start(&["--listen=127.0.0.1:0"], &[]);
    let address = process.url().trim_start_matches("http://");
    let (_folder, path) = file(&format!("listen = {address:?}\nthreads = 1\n"));
    let output = run(&["health"], &[("EVENKEEL_CONFIG", &path)]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(process.stop(Signal::TERM).0.code(), Some(0));
}

/// Reads the log up to a line with this text; returns that line.
pub(crate) fn log_until(log: &mut impl BufRead, text: &str) -> String {
    let (began, mut line) = (Instant::now(), String::new());
    while log.read_line(&mut line).unwrap_or_else(|error| panic!("{text:?} in the log: {error}")) > 0 {
        if line.contains(text) {
            return line;
        }
        // Other lines may come without end.
        assert!(began.elapsed() < NEVER, "{}", in_vain(text));
        line.clear();
    }
    panic!("the log ends without {text:?}")
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reads_the_log_level_again() {
    let (_folder, path) = file("log-level = \"warn\"\n");
    // So few that any limit on open files has room for them; otherwise a line about it would be the first.
    let few = "--max-connections=100";
    let mut process = Process::start(&["--listen=127.0.0.1:0", few, "--config", &path], &[]);
    let mut log = process.log();
    let mut client = process.client().await;
    let mut call = async || {
        let request = normalize(evenkeel_proto::v1::NormKind::Layer, f32s(&[2], &[1.0; 2]));
        client.normalize(request).await.expect("it is right");
    };
    call().await;
    fs::write(&path, "log-level = \"info\"\n").expect("it can be written");
    process.signal(Signal::HUP);
    // This is the first line of the log: earlier lines of level info were not written.
    let mut first = String::new();
    log.read_line(&mut first).expect("the log is text");
    assert!(first.contains("read the log level again"), "{first}");
    call().await;
    log_until(&mut log, "call ended");
    // A wrong file changes nothing: a wrong value, an unknown key, or a wrong value of another setting.
    for (text, reason) in [
        ("log-level = \"loud\"\n", "loud"),
        ("log-levle = \"error\"\n", "log-levle"),
        ("log-level = \"error\"\nthreads = \"many\"\n", "threads"),
    ] {
        fs::write(&path, text).expect("it can be written");
        process.signal(Signal::HUP);
        let line = log_until(&mut log, "stays as it was");
        assert!(line.contains(reason) && line.contains(&path), "{line}");
        call().await;
        log_until(&mut log, "call ended");
    }
    assert_eq!(process.stop(Signal::TERM).0.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_changes_no_level_that_a_flag_has_set() {
    let (_folder, path) = file("log-level = \"off\"\n");
    let mut process = Process::start(&["--listen=127.0.0.1:0", "--log-level=info", "--config", &path], &[]);
    let mut log = process.log();
    process.signal(Signal::HUP);
    assert!(log_until(&mut log, "stays").contains("flag"));
    assert_eq!(process.stop(Signal::TERM).0.code(), Some(0));
}
