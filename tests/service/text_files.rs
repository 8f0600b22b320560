//! Rows 46 and 47: token files that block, and token files that are not plain lines.

use std::{
    fs,
    io::BufRead as _,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use rustix::process::Signal;
use tempfile::TempDir;
use tonic::{Code, Request};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{
    harness::{Client, dropout, f32s},
    process::{Process, run, stderr},
    settings::log_until,
};

/// A folder, and the path of a token file in it.
fn tokens() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("tokens");
    (folder, path)
}

fn flags(path: &Path) -> [String; 2] {
    ["--listen=127.0.0.1:0".to_owned(), format!("--auth-token-file={}", path.display())]
}

fn start(path: &Path) -> Process {
    Process::start(&flags(path).each_ref().map(String::as_str), &[])
}

fn make_fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().expect("it is everywhere").success());
}

async fn call(client: &mut Client, token: &str) -> Code {
    let mut request = Request::new(dropout(0.0, f32s(&[1], &[1.0])));
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header's value"));
    client.dropout(request).await.map_or_else(|status| status.code(), |_| Code::Ok)
}

/// A named pipe takes the place of the file: opening it would block for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_blocks_stops_nothing() {
    let (folder, path) = tokens();
    fs::write(&path, "one").expect("it can be written");
    let mut process = start(&path);
    let mut log = process.log();
    let fifo = folder.path().join("fifo");
    make_fifo(&fifo);
    fs::rename(&fifo, &path).expect("it can be moved");
    let line = log_until(&mut log, "cannot be used");
    assert!(line.contains(&path.display().to_string()) && line.contains("not a regular file"), "{line}");
    let mut client = process.client().await;
    assert_eq!(call(&mut client, "one").await, Code::Ok, "the old token is good");
    let channel = tonic::transport::Endpoint::from_shared(process.url().to_owned()).expect("the URL is one");
    let channel = channel.connect().await.expect("it is served");
    HealthClient::new(channel).check(HealthCheckRequest::default()).await.expect("it serves");
    // A regular file again.
    let file = folder.path().join("file");
    fs::write(&file, "two").expect("it can be written");
    fs::rename(&file, &path).expect("it can be moved");
    log_until(&mut log, "files have changed and are used");
    assert_eq!(call(&mut client, "two").await, Code::Ok);
    make_fifo(&fifo);
    fs::rename(&fifo, &path).expect("it can be moved");
    log_until(&mut log, "cannot be used");
    assert_eq!(process.stop(Signal::TERM).0.code(), Some(0));
    let more = log.lines().map(|line| line.expect("the log is text")).filter(|line| line.contains("cannot be used"));
    assert_eq!(more.count(), 0, "it is said once");
}

#[test]
fn a_pipe_that_nobody_writes_to_is_given_up_at_the_start() {
    let (_folder, path) = tokens();
    make_fifo(&path);
    let output = run(&flags(&path).each_ref().map(String::as_str), &[]);
    assert_eq!(output.status.code(), Some(64), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains("--auth-token-file") && said.contains(&path.display().to_string()), "{said}");
    assert!(said.contains("did not end within"), "{said}");
}

/// As with `<(...)` of a shell: the pipe is read once.
#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_that_somebody_writes_to_is_read() {
    let (_folder, path) = tokens();
    make_fifo(&path);
    let to = path.clone();
    let writing = thread::spawn(move || fs::write(to, "one\n").expect("the server reads"));
    let mut process = start(&path);
    writing.join().expect("no panic");
    let mut log = process.log();
    log_until(&mut log, "is not read again");
    assert_eq!(call(&mut process.client().await, "one").await, Code::Ok);
    assert_eq!(process.stop(Signal::TERM).0.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_read_as_their_writer_meant_them() {
    let text = "# of the first team\r\none\r\n\r\n  # of the second\r\ntwo\r\n";
    let marked = format!("\u{feff}{text}");
    for content in [
        text.as_bytes().to_vec(),
        marked.clone().into_bytes(),
        marked.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        marked.encode_utf16().flat_map(u16::to_be_bytes).collect(),
    ] {
        let (_folder, path) = tokens();
        fs::write(&path, &content).expect("it can be written");
        let process = start(&path);
        let mut client = process.client().await;
        for (token, expected) in [("one", Code::Ok), ("two", Code::Ok), ("# of the first team", Code::Unauthenticated)]
        {
            assert_eq!(call(&mut client, token).await, expected, "{token} of {content:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_cannot_be_meant_are_refused() {
    let without_mark: Vec<u8> = "secret".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let wrong: [(&[u8], &str); 9] = [
        (&without_mark, "UTF-16 without a byte order mark"),
        (b"secret\xFF", "not UTF-8"),
        (b"secret\rsecret", "line 1"),
        (b"one\nsecret # of the second team", "line 2"),
        (b"# secret\n", "no token"),
        // Tokens that no client can send.
        ("one\nsecr\u{e9}t".as_bytes(), "line 2"),
        ("\u{200b}secret".as_bytes(), "line 1"),
        (b"secret secret", "line 1"),
        (b"Bearer secret", "line 1"),
    ];
    for (content, reason) in wrong {
        let (_folder, path) = tokens();
        fs::write(&path, content).expect("it can be written");
        let output = run(&flags(&path).each_ref().map(String::as_str), &[]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(64), "{said}");
        assert!(said.contains("--auth-token-file") && said.contains(reason) && !said.contains("secret"), "{said}");
    }
    // While the server runs, the old tokens stay valid.
    let (_folder, path) = tokens();
    fs::write(&path, "one").expect("it can be written");
    let mut process = start(&path);
    let mut log = process.log();
    let mut client = process.client().await;
    for (content, reason) in wrong {
        fs::write(&path, content).expect("it can be written");
        let line = log_until(&mut log, reason);
        assert!(line.contains("the old ones stay") && !line.contains("secret"), "{line}");
        assert_eq!(call(&mut client, "one").await, Code::Ok);
    }
    assert_eq!(process.stop(Signal::TERM).0.code(), Some(0));
}
