//! Row 29: very many connections that never speak, or stop within a TLS handshake.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

use crate::{
    authority::{Authority, write},
    beside::{Caller, beside, beside_caller},
    process::Process,
    tls::connect,
};

/// The number of silent connections.
const SILENT: usize = 10_000;
/// The limit on connections.
const CAP: usize = 800;
/// The number of connections that may wait in the queue of the kernel, beside those that have a place.
const AT_ONCE: usize = 64;
/// How long the server waits for a connection that has a place.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How much the process may grow for the connections that have a place, and for the caller beside them. Each takes some
/// 4 KiB; it took 50 when the state of HTTP/2 was made before the first byte had come.
const MEMORY: usize = (24 * CAP) << 10;
/// The same for connections that have begun a TLS handshake, each of which has a TLS session.
const MEMORY_TLS: usize = (128 * CAP) << 10;
/// The open files that this process needs: for both tests at the same time, and for other tests beside them.
const ENOUGH: u64 = 2 * (CAP + AT_ONCE) as u64 + 1000;

fn raise_the_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let enough = maximum.is_none_or(|maximum| maximum > ENOUGH);
    assert!(enough, "this test takes {ENOUGH} sockets; the hard limit on open files (ulimit -Hn) is {maximum:?}");
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("the soft limit may be raised");
}

/// Opens connections that send `begins` and fall silent, until the server has closed every one of them. Returns how
/// many it kept until the timeout; the others came when all places were taken.
async fn come(address: SocketAddr, begins: &'static [u8]) -> usize {
    let silent = move || async move {
        let began = Instant::now();
        // A connection without a place may be closed while this side still connects or writes.
        let Ok(mut stream) = TcpStream::connect(address).await else { return false };
        if stream.write_all(begins).await.is_err() {
            return false;
        }
        // Reads to the end of the connection, which may be a reset.
        let mut sent = Vec::new();
        let _ = stream.read_to_end(&mut sent).await;
        assert_eq!(sent, b"", "the client has not spoken");
        began.elapsed() >= TIMEOUT
    };
    let (mut open, mut kept) = (JoinSet::new(), 0);
    let mut ended = |silent: Result<bool, _>| kept += usize::from(silent.expect("no panic"));
    for _ in 0..SILENT {
        open.spawn(silent());
        // No more than have a place or fit into the kernel's queue: a connection that the kernel drops is never closed.
        while open.len() == CAP + AT_ONCE {
            open.join_next().await.into_iter().for_each(&mut ended);
        }
    }
    while let Some(silent) = open.join_next().await {
        ended(silent);
    }
    kept
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_that_never_speak_are_closed_and_others_served() {
    raise_the_limit();
    let cap = format!("--max-connections={CAP}");
    let arguments =
        ["--listen=127.0.0.1:0", "--log-level=error", "--max-connections-per-peer=0", "--handshake-timeout=5s"];
    let process = Process::start(&[&arguments[..], &[&cap]].concat(), &[]);
    let kept = beside(&process, MEMORY, come(process.address(), b"")).await;
    // The caller beside them has a place as well, and the last sixteenth is for other addresses.
    assert!(kept >= CAP - CAP.div_ceil(16) - 1, "only {kept} were waited for");
    // All places are free again.
    beside(&process, MEMORY, async {}).await;
}

/// The first bytes of a ClientHello.
const HALF_A_HELLO: &[u8] = &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xFC, 0x03, 0x03];

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_halves_of_a_tls_handshake_are_closed_and_others_served() {
    raise_the_limit();
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new();
    write(folder.path(), authority.sign());
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
    let address = process.address();
    // The caller has a place before the others come.
    let caller = Caller::Over(connect(authority.client(None, b"h2"), address).await.expect("it is trusted"));
    let kept = beside_caller(&process, caller, MEMORY_TLS, come(address, HALF_A_HELLO)).await;
    assert!(kept >= CAP - CAP.div_ceil(16) - 1, "only {kept} were waited for");
    // All places are free again.
    connect(authority.client(None, b"h2"), address).await.expect("there is a place");
}
