//! A call ends at its deadline, however far its response has come.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use evenkeel_client::{Builder, Client, Error, NormKind};
use ndarray::{Array1, array};
use tokio::{
    io::{self, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::{TestResult, start, until::within};

/// The types of HTTP/2's frames.
const DATA: u8 = 0;
const HEADERS: u8 = 1;

/// A proxy to a server that holds back all bytes of the server from some frame on.
struct Stalled {
    url: String,
    /// How many connections have come to that frame.
    count: Arc<AtomicU32>,
}

impl Stalled {
    /// Holds back the `nth` frame of this type, and all bytes of the connection after it.
    async fn at(server: SocketAddr, kind: u8, nth: u32) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (url, count) = (format!("http://{}", listener.local_addr()?), Arc::<AtomicU32>::default());
        let stalled = Arc::clone(&count);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, server, (kind, nth), Arc::clone(&stalled)));
            }
        });
        Ok(Self { url, count })
    }
}

async fn pass(client: TcpStream, server: SocketAddr, until: (u8, u32), stalled: Arc<AtomicU32>) -> io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = TcpStream::connect(server).await?.into_split();
    let up = tokio::spawn(async move { io::copy(&mut from_client, &mut to_server).await });
    let (kind, nth) = until;
    let mut seen = 0;
    loop {
        let mut frame = vec![0; 9];
        from_server.read_exact(&mut frame).await?;
        seen += u32::from(frame[3] == kind);
        if seen == nth {
            stalled.fetch_add(1, Ordering::Relaxed);
            // The connection stays, and passes the client's bytes on, until the client closes it.
            return up.await?.map(drop);
        }
        let len = u32::from_be_bytes([0, frame[0], frame[1], frame[2]]) as usize;
        frame.resize(9 + len, 0);
        from_server.read_exact(&mut frame[9..]).await?;
        to_client.write_all(&frame).await?;
    }
}

/// Makes a call with longer and longer time limits, until the response has come to the frame that is held back.
async fn ends<T: std::fmt::Debug>(
    settings: &Builder,
    (server, kind, nth): (SocketAddr, u8, u32),
    call: impl AsyncFn(Client) -> Result<T, Error>,
) -> TestResult {
    for limit in (0..12).map(|attempt| Duration::from_millis(20 << attempt)) {
        let stalled = Stalled::at(server, kind, nth).await?;
        let client = settings.clone().timeout(limit).connect(&stalled.url).await?;
        match within("the deadline of a call", call(client)).await {
            Err(Error::DeadlineExceeded { .. }) => {}
            other => panic!("frame {nth} of type {kind} is kept back: {other:?}"),
        }
        if stalled.count.load(Ordering::Relaxed) > 0 {
            return Ok(());
        }
    }
    panic!("no answer came as far as frame {nth} of type {kind}");
}

#[tokio::test]
async fn every_call_ends_though_its_answer_has_begun() -> TestResult {
    let (server, _) = start().await?;
    let address = server.local_addr().ok_or("it is no TCP port")?;
    let x = || Array1::<f32>::ones(20_000);
    // The second headers are the trailers.
    for at in [(address, DATA, 1), (address, DATA, 2), (address, HEADERS, 2)] {
        for codec_path in [false, true] {
            let settings =
                Client::builder().codec_path(codec_path).stream_window_bytes(1 << 16).max_frame_bytes(1 << 14);
            ends(&settings, at, async |client| client.dropout(x(), 0.5, 1).send().await).await?;
            ends(&settings, at, async |client| client.dropout_backward(x(), 0.5, 1).send().await).await?;
            ends(&settings, at, async |client| client.normalize(x()).kind(NormKind::Layer).send().await).await?;
            let backward =
                async |client: Client| client.normalize_backward(x(), x()).kind(NormKind::Layer).send().await;
            ends(&settings, at, backward).await?;
            ends(&settings, at, async |client| client.clip_gradients([("x", x())]).by_norm(1.0).send().await).await?;
        }
    }
    for at in [(address, DATA, 1), (address, HEADERS, 2)] {
        let settings = Client::builder();
        ends(&settings, at, async |client| client.measure_gradients([("x", x())]).send().await).await?;
        ends(&settings, at, async |client| client.server_info().await).await?;
    }
    Ok(())
}

/// The server reads nothing, so that the client can send neither the whole message nor the whole stream.
#[tokio::test]
async fn a_call_ends_though_it_cannot_be_sent() -> TestResult {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let settings = Client::builder().timeout(Duration::from_millis(50));
    let client = settings.connect_lazy(url)?;
    let large = Array1::<f32>::zeros(8 << 20);
    for answer in [
        within("the deadline of a unary call", client.dropout(large.clone(), 0.5, 1).send()).await.map(drop),
        within("the deadline of a stream", client.measure_gradients([("x", large)]).send()).await.map(drop),
    ] {
        assert!(matches!(answer, Err(Error::DeadlineExceeded { .. })), "{answer:?}");
    }
    Ok(())
}

/// gRPC's header cannot express the longest of them, and some clocks cannot reach them.
#[tokio::test]
async fn the_longest_time_limits_are_kept() -> TestResult {
    let (server, _) = start().await?;
    for limit in [Duration::from_secs(365 * 24 * 3600), Duration::from_secs(20_000 * 365 * 24 * 3600), Duration::MAX] {
        let client = Client::builder().timeout(limit).connect_timeout(limit).connect(server.url()).await?;
        assert_eq!(client.dropout(array![1.0_f32], 0.0, 1).send().await?.kept, 1);
        client.with_timeout(limit).measure_gradients([("x", array![1.0_f32])]).send().await?;
    }
    Ok(())
}
