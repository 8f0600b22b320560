//! The ends of connections whose client does not take yet what it was sent.
//!
//! The clock of these tests stands still unless all tasks wait for it.

use super::*;
use crate::settings::Http1Settings;

/// Longer than a client without requests has to close its connection, and shorter than [`NEVER`].
const LONG: Duration = Duration::from_secs(30);

/// HTTP copies a response of some bytes, and its request is not open any more while the copy waits for the socket.
#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_the_socket() {
    let mut connected = Connected::new(1 << 20, MIB as u32, None, NEVER).await;
    let counts = Arc::clone(&connected.counts);
    counts.fill();
    let request = Request::get("http://localhost/10").body(Empty::new()).expect("a request");
    let answer = tokio::spawn(connected.client.send_request(request));
    until("the server tries to write", || counts.writer.lock().expect("no panic").is_some()).await;
    assert_eq!(connected.metrics.requests_open.get(), 0);
    connected.draining.send(true).expect("the connection is there");
    tokio::time::sleep(LONG).await;
    counts.empty();
    let answer = answer.await.expect("no panic").expect("it has headers");
    let all = answer.into_body().collect().await.expect("it is whole");
    assert_eq!(all.trailers().expect("it has trailers")["grpc-status"], "0");
}

/// HTTP/1.1 does the same.
#[tokio::test(start_paused = true)]
async fn a_drain_of_http_1_waits_for_the_socket() {
    let (mut client, io) = duplex(ROOM);
    let (counts, metrics) = (Arc::<Counts>::default(), Arc::<Metrics>::default());
    let (draining, told) = watch::channel(false);
    let http1 = Some(Http1Settings { max_buffer_bytes: 1 << 16, max_header_bytes: 1 << 14 });
    let settings = Settings { send_timeout: NEVER, http1, ..Settings::default() };
    let make = Make { believed: None, dropped: Arc::default() };
    let shared = Shared::new(make, settings, None, Arc::clone(&metrics), told);
    counts.is_flat.store(true, Ordering::SeqCst);
    let socket = Counting { io, counts: Arc::clone(&counts) };
    tokio::spawn(speak(Version::Http1, socket, &shared, Instant::now()));
    counts.fill();
    client.write_all(b"GET /10 HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("there is room");
    tokio::time::sleep(LONG).await;
    assert!(counts.writer.lock().expect("no panic").is_some(), "the server has tried to write");
    assert_eq!(metrics.requests_open.get(), 0, "HTTP has all of the answer");
    draining.send(true).expect("the connection is there");
    tokio::time::sleep(LONG).await;
    counts.empty();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.expect("it is open");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n0\r\n\r\n"), "{answer}");
}

/// The system has bytes for the client: it may read them for as long as a client may read slowly, however HTTP ends.
#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_bytes_that_the_system_has_not_sent() {
    for (client_closes, is_taken) in [(true, true), (true, false), (false, true), (false, false)] {
        let (mut client, io) = duplex(ROOM);
        let (counts, metrics) = (Arc::<Counts>::default(), Arc::<Metrics>::default());
        let (draining, told) = watch::channel(false);
        let make = Make { believed: None, dropped: Arc::default() };
        let settings = Settings { send_timeout: NEVER, ..Settings::default() };
        let shared = Shared::new(make, settings, None, metrics, told);
        let socket = Counting { io, counts: Arc::clone(&counts) };
        let served = tokio::spawn(speak(Version::Http2, socket, &shared, Instant::now()));
        client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("there is room");
        until("the preface has come", || counts.read.load(Ordering::SeqCst) > 24).await;
        counts.is_unsent.store(true, Ordering::SeqCst);
        draining.send(true).expect("the connection is there");
        if client_closes {
            // HTTP ends when the client has closed its side.
            client.shutdown().await.expect("it is open");
        }
        tokio::time::sleep(LONG).await;
        assert!(!served.is_finished(), "client closes: {client_closes}");
        if is_taken {
            counts.is_unsent.store(false, Ordering::SeqCst);
            drop(timeout(LONG / 5, served).await.expect("the client has had its time"));
        } else {
            drop(timeout(NEVER, served).await.expect("a client that takes nothing is cut off"));
        }
    }
}
