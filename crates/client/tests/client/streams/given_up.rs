//! Calls that are given up midway are cancelled ones for the server.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use evenkeel::{config::ServerConfig, server::Running};
use evenkeel_client::{Client, DType, Error, NormKind, TensorReader};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf},
    net::TcpStream,
    sync::mpsc::{UnboundedSender, unbounded_channel},
};

use crate::{
    TestResult,
    until::{until, within},
};

/// A server with metrics.
async fn start() -> Result<(Running, Client), Box<dyn std::error::Error>> {
    let metrics_listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let server = Running::start(ServerConfig { metrics_listen, ..ServerConfig::on_free_port() }).await?;
    let client = Client::connect(server.url()).await?;
    Ok((server, client))
}

/// The lines of a metric that are about a method.
async fn series(server: &Running, metric: &str, method: &str) -> Vec<String> {
    let mut stream = TcpStream::connect(server.metrics_addr().expect("they are served")).await.expect("it listens");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("it is taken");
    let mut answer = String::new();
    within("the metrics", stream.read_to_string(&mut answer)).await.expect("text");
    let (of_metric, of_method) = (format!("{metric}{{"), format!("grpc_method=\"{method}\""));
    let lines = answer.lines().filter(|line| line.starts_with(&of_metric) && line.contains(&of_method));
    lines.map(str::to_owned).collect()
}

/// The calls of a method that have ended, each by its code and how often.
async fn ended(server: &Running, method: &str) -> Vec<String> {
    let lines = series(server, "grpc_server_handled_total", method).await.into_iter();
    let codes = lines.filter_map(|line| Some(line.split_once("grpc_code=\"")?.1.replace("\"}", "")));
    codes.filter(|code| !code.ends_with(" 0")).collect()
}

/// How many have begun.
async fn begun(server: &Running, method: &str) -> Option<String> {
    let lines = series(server, "grpc_server_started_total", method).await;
    Some(lines.first()?.rsplit_once(' ')?.1.to_owned())
}

/// Gives some elements and then waits, and tells when it is asked for the rest.
struct Waits {
    left: usize,
    asked: UnboundedSender<()>,
}

impl AsyncRead for Waits {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let len = self.left.min(buffer.remaining());
        if len == 0 {
            let _ = self.asked.send(());
            return Poll::Pending;
        }
        buffer.put_slice(&vec![1; len]);
        self.left -= len;
        Poll::Ready(Ok(()))
    }
}

/// Drops each call when its reader is asked for what it does not have.
#[tokio::test]
async fn calls_that_are_dropped_are_cancelled() -> TestResult {
    let (server, client) = start().await?;
    // All of it is with the server, or the first chunk of several, or nothing.
    for (left, rounds) in [(0, "1"), (1 << 20, "2"), (4 << 20, "3")] {
        let (asked, mut is_asked) = unbounded_channel();
        let input = || TensorReader::new(DType::F32, [1 << 40], Waits { left, asked: asked.clone() });
        macro_rules! drops {
            ($method:literal, $call:expr) => {{
                let begins = async {
                    within("the reader is asked", is_asked.recv()).await.expect("it is there");
                    until($method, async || begun(&server, $method).await.as_deref() == Some(rounds)).await;
                };
                tokio::select! {
                    ended = $call => panic!("it cannot end: {ended:?}"),
                    () = begins => {}
                }
                let expected = format!("CANCELLED {rounds}");
                until($method, async || ended(&server, $method).await == [expected.clone()]).await;
            }};
        }
        let sink = tokio::io::sink;
        drops!("DropoutStream", client.dropout_stream(input(), 0.5, 1).send(sink()));
        let rows = TensorReader::new(DType::F32, [1 << 30, 256], Waits { left, asked: asked.clone() });
        drops!("NormalizeStream", client.normalize_stream(rows).kind(NormKind::Layer).send(sink()));
        drops!("ClipGradientsStream", client.clip_gradients_stream([("x", input())]).by_value(1.0).send(sink()));
        drops!("MeasureGradients", client.measure_gradients_stream([("x", input())]).send());
        drops!("MeasureStatistics", client.measure_statistics_stream(input()).kind(NormKind::Layer).send());
    }
    Ok(())
}

/// A reader that ends early gives the call up as well.
#[tokio::test]
async fn calls_whose_reader_fails_are_cancelled() -> TestResult {
    let (server, client) = start().await?;
    let bytes = vec![0; 3 << 20];
    let short = TensorReader::new(DType::F32, [1 << 40], &bytes[..]);
    match client.dropout_stream(short, 0.5, 1).send(tokio::io::sink()).await {
        Err(Error::Read(error)) => assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof),
        other => panic!("{other:?}"),
    }
    until("a cancelled call", async || ended(&server, "DropoutStream").await == ["CANCELLED 1"]).await;
    Ok(())
}
