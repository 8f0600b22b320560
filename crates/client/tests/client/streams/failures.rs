//! Streams that fail on either side, and calls that are given up.

use std::{
    io,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use evenkeel_client::{Client, DType, Error, TensorReader};
use evenkeel_proto::v1 as pb;
use ndarray::Array1;
use pb::{dropout_stream_request as request, dropout_stream_response::Part};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, BufWriter, ReadBuf},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, channel, unbounded_channel},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};

use super::start_small;
use crate::{
    TestResult,
    fake::{Fake, Messages},
    until::within,
};

/// Some times more than all that is on its way.
const ELEMENTS: usize = 1 << 20;

struct Fails;

impl AsyncRead for Fails {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::Error::other("the disk is gone")))
    }
}

#[tokio::test]
async fn a_reader_that_fails_or_ends_is_an_error_of_its_own() -> TestResult {
    let (_server, client) = start_small().await?;
    let bytes = vec![0; 10_001];
    for len in [0, 1, 4096, 10_001] {
        let short = TensorReader::new(DType::F32, [ELEMENTS], &bytes[..len]);
        match client.dropout_stream(short, 0.5, 1).send(tokio::io::sink()).await {
            Err(Error::Read(error)) => assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof),
            other => panic!("after {len} bytes: {other:?}"),
        }
    }
    let fails = TensorReader::new(DType::F32, [ELEMENTS], (&bytes[..]).chain(Fails));
    match client.dropout_backward_stream(fails, 0.5, 1).send(tokio::io::sink()).await {
        Err(error @ Error::Read(_)) => assert!(error.to_string().contains("the disk is gone"), "{error}"),
        other => panic!("{other:?}"),
    }
    Ok(())
}

#[tokio::test]
async fn a_writer_that_fails_is_an_error_of_its_own() -> TestResult {
    let (_server, client) = start_small().await?;
    let x = Array1::<f32>::ones(ELEMENTS);
    let mut file = [0_u8; 3000];
    let full = io::Cursor::new(&mut file[..]);
    match client.dropout_stream(&x, 0.5, 1).send(full).await {
        Err(Error::Write(error)) => assert_eq!(error.kind(), io::ErrorKind::WriteZero),
        other => panic!("{other:?}"),
    }
    let mut mask = [0_u8; 100];
    let full = io::Cursor::new(&mut mask[..]);
    match client.dropout_stream(&x, 0.5, 1).send_with_mask(tokio::io::sink(), full).await {
        Err(Error::Write(error)) => assert_eq!(error.kind(), io::ErrorKind::WriteZero),
        other => panic!("{other:?}"),
    }
    Ok(())
}

/// A writer that keeps what it has until it is flushed, as a file does.
#[tokio::test]
async fn writers_are_flushed() -> TestResult {
    let (_server, client) = start_small().await?;
    let x = Array1::<f32>::ones(1001);
    let (mut output, mut mask) = (BufWriter::new(Vec::new()), BufWriter::new(Vec::new()));
    client.dropout_stream(&x, 0.5, 1).send_with_mask(&mut output, &mut mask).await?;
    assert_eq!((output.get_ref().len(), mask.get_ref().len()), (4004, 126));
    Ok(())
}

#[tokio::test]
async fn the_server_names_the_fields_that_are_wrong() -> TestResult {
    let (_server, client) = start_small().await?;
    let x = Array1::<f32>::ones(ELEMENTS);
    match client.dropout_stream(&x, 1.5, 1).channel_axis(1).send(tokio::io::sink()).await {
        Err(Error::InvalidArgument { violations, .. }) => {
            let fields: Vec<&str> = violations.iter().map(|violation| violation.field.as_str()).collect();
            assert!(fields.iter().any(|field| field.ends_with("p")), "{fields:?}");
            assert!(fields.iter().any(|field| field.ends_with("channel_axis")), "{fields:?}");
        }
        other => panic!("{other:?}"),
    }
    let beyond = TensorReader::new(DType::F64, [usize::MAX, 2], tokio::io::repeat(0));
    match client.dropout_stream(beyond, 0.5, 1).send(tokio::io::sink()).await {
        Err(Error::InvalidArgument { violations, .. }) => {
            assert!(violations[0].field.contains("shape"), "{violations:?}");
        }
        other => panic!("{other:?}"),
    }
    Ok(())
}

/// Says what becomes of a call.
struct Guard(UnboundedSender<&'static str>);

impl Drop for Guard {
    fn drop(&mut self) {
        // The test may be over.
        let _ = self.0.send("the server dropped the call");
    }
}

/// A server that gives back the bytes as they are, and takes none while these are not taken; with what it says.
fn echoes() -> (Fake, UnboundedReceiver<&'static str>) {
    let (said, hears) = unbounded_channel();
    let answer = move |mut request: Streaming<pb::DropoutStreamRequest>| {
        let guard = Guard(said.clone());
        let (responses, receiver) = channel(1);
        tokio::spawn(async move {
            while let Ok(Some(message)) = request.message().await {
                let part = match message.part {
                    Some(request::Part::Header(header)) => {
                        let _ = guard.0.send("the server has begun");
                        Part::Header(pb::DropoutResponse { output: header.input, ..Default::default() })
                    }
                    Some(request::Part::Data(bytes)) => Part::Data(bytes),
                    Some(request::Part::BackwardHeader(_)) | None => break,
                };
                if responses.send(Ok(message_of(part))).await.is_err() {
                    break;
                }
            }
        });
        Ok(Box::pin(ReceiverStream::new(receiver)) as Messages<_>)
    };
    (Fake { dropout_stream: Box::new(answer), ..Fake::default() }, hears)
}

fn message_of(part: Part) -> pb::DropoutStreamResponse {
    pb::DropoutStreamResponse { part: Some(part) }
}

/// A writer that takes nothing, and tells when it is asked to.
struct Stuck(UnboundedSender<()>);

impl AsyncWrite for Stuck {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        let _ = self.0.send(());
        Poll::Pending
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

/// The windows of both sides may be full then: neither can say anything before the other goes on.
#[tokio::test]
async fn a_call_that_is_dropped_ends_on_the_server() -> TestResult {
    let (server, mut hears) = echoes();
    let url = server.url().await?;
    let (client, other) = (Client::connect(&url).await?, Client::connect(&url).await?);
    // Calls over another connection, enough of them for the stream to fill all that can be filled.
    let beside = async || {
        for _ in 0..200 {
            let _ = other.server_info().await;
        }
    };
    for fills in [false, true] {
        let endless = TensorReader::new(DType::F32, [1 << 40], tokio::io::repeat(0));
        let (asked, mut is_asked) = unbounded_channel();
        let call = client.dropout_stream(endless, 0.5, 1).send(Stuck(asked));
        let filled = async {
            within("the writer is asked", is_asked.recv()).await.expect("the writer is there");
            if fills {
                within("calls beside the stream", beside()).await;
            }
        };
        tokio::select! {
            ended = call => panic!("it cannot end: {ended:?}"),
            () = filled => {}
        }
        assert_eq!(within("the server begins", hears.recv()).await, Some("the server has begun"));
        assert_eq!(within("the server hears of it", hears.recv()).await, Some("the server dropped the call"));
    }
    Ok(())
}

#[tokio::test]
async fn a_reader_that_fails_ends_the_call_on_the_server() -> TestResult {
    let (server, mut hears) = echoes();
    let client = server.start().await?;
    let (short, rest) = tokio::io::duplex(64);
    let reader = TensorReader::new(DType::F32, [1 << 40], short);
    let mut call = pin!(client.dropout_stream(reader, 0.5, 1).send(tokio::io::sink()));
    tokio::select! {
        ended = &mut call => panic!("nothing has failed yet: {ended:?}"),
        said = within("the server begins", hears.recv()) => assert_eq!(said, Some("the server has begun")),
    }
    drop(rest);
    assert!(matches!(within("the reader's end", call).await, Err(Error::Read(_))));
    assert_eq!(within("the server hears of it", hears.recv()).await, Some("the server dropped the call"));
    Ok(())
}

#[tokio::test]
async fn a_server_without_streams_says_so() -> TestResult {
    let client = Fake::default().start().await?;
    let x = Array1::<f32>::ones(1000);
    match client.dropout_stream(&x, 0.5, 1).send(tokio::io::sink()).await {
        Err(Error::Status(status)) => assert_eq!(status.code(), Code::Unimplemented),
        other => panic!("{other:?}"),
    }
    Ok(())
}
