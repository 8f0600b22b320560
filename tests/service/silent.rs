//! Row 29: very many connections that never speak, or stop within a TLS handshake.

use std::time::Duration;

use evenkeel_proto::v1 as pb;
use pb::NormKind;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    authority::{Authority, write},
    harness::{f32s, normalize},
    process::Process,
};

/// As many as come.
const SILENT: usize = 10_000;
/// As many as there may be.
const CAP: usize = 800;
/// Those that wait for the server to look at them, beside those that have a place.
const AT_ONCE: usize = 64;
/// What the process may take for those that are there: a task, a socket, and what the allocator keeps.
const MEMORY: usize = 64 << 20;
/// Open files of this process: those of both tests at the same time, and of others beside them.
const ENOUGH: u64 = 2 * (CAP + AT_ONCE) as u64 + 1000;
/// Whatever is waited for comes by then, or never does.
const NEVER: Duration = Duration::from_secs(120);

fn raise_the_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let enough = maximum.is_none_or(|maximum| maximum > ENOUGH);
    assert!(enough, "this test takes {ENOUGH} sockets; the hard limit on open files (ulimit -Hn) is {maximum:?}");
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("the soft limit may be raised");
}

/// `begins`: what each of them sends before it falls silent.
async fn come(process: &Process, begins: &'static [u8]) {
    let before = process.memory("VmRSS");
    let address = process.address();
    let silent = move || async move {
        // One that is closed as soon as it comes may be so while this side still connects or writes.
        if let Ok(mut stream) = TcpStream::connect(address).await {
            let _ = stream.write_all(begins).await;
            // Until the server closes it.
            let _ = stream.read(&mut [0; 64]).await;
        }
    };
    let mut open = JoinSet::new();
    for _ in 0..SILENT {
        open.spawn(silent());
        // Beside those that have a place no more than the kernel's queue has room for: what it drops nobody ever closes.
        while open.len() == CAP + AT_ONCE {
            open.join_next().await;
        }
    }
    while open.join_next().await.is_some() {}
    let grown = process.memory("VmHWM").saturating_sub(before);
    assert!(grown < MEMORY, "{grown} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_that_never_speak_are_closed_and_others_served() {
    raise_the_limit();
    let cap = format!("--max-connections={CAP}");
    let arguments =
        ["--listen=127.0.0.1:0", "--log-level=error", "--max-connections-per-peer=0", "--handshake-timeout=5s"];
    let process = Process::start(&[&arguments[..], &[&cap]].concat(), &[]);
    let request = normalize(NormKind::Layer, f32s(&[2], &[1.0, 2.0]));
    let mut client = process.client().await;
    let expected = client.normalize(request.clone()).await.expect("it serves").into_inner();
    let serve = async {
        loop {
            let answer = client.normalize(request.clone()).await.expect("it serves beside them").into_inner();
            assert_eq!(answer, expected);
            sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = serve => (),
        closed = timeout(NEVER, come(&process, b"")) => closed.expect("all of them are closed"),
    }
    // Their places are free again.
    process.client().await.normalize(request).await.expect("it serves after them");
}

/// The first bytes of a ClientHello.
const HALF_A_HELLO: &[u8] = &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xFC, 0x03, 0x03];

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_halves_of_a_tls_handshake_are_closed() {
    raise_the_limit();
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), Authority::new().sign());
    let file = |name| folder.path().join(name).display().to_string();
    let process = Process::start(
        &[
            "--listen=127.0.0.1:0",
            "--log-level=error",
            "--max-connections-per-peer=0",
            "--handshake-timeout=5s",
            &format!("--max-connections={CAP}"),
            &format!("--tls-cert={}", file("cert.pem")),
            &format!("--tls-key={}", file("key.pem")),
        ],
        &[],
    );
    timeout(NEVER, come(&process, HALF_A_HELLO)).await.expect("all of them are closed");
}
