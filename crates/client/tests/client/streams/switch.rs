//! The calls on arrays are made as streams where a message would be too large.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use evenkeel_client::{DropoutKind, Error};
use evenkeel_proto::v1 as pb;
use ndarray::{Array1, s};
use tonic::{Code, Status};

use super::{cube, start_small};
use crate::{TestResult, fake::Fake, start};

#[tokio::test]
async fn arrays_larger_than_a_message_get_the_same() -> TestResult {
    let ((_server, large), (_small_server, small)) = (start().await?, start_small().await?);
    let x = cube((7, 61, 53), |x| x as f32);
    for kind in [DropoutKind::Element, DropoutKind::Channel] {
        let call = |client: &evenkeel_client::Client| client.dropout(&x, 0.3, 9).kind(kind).return_mask(true);
        let expected = call(&large).send().await?;
        assert_eq!(call(&small).send().await?, expected);
        let backward = |client: &evenkeel_client::Client| client.dropout_backward(x.t(), 0.3, 9).kind(kind);
        assert_eq!(backward(&small).send().await?, backward(&large).send().await?);
    }
    Ok(())
}

/// An input fits, and the result with its mask does not.
#[tokio::test]
async fn the_mask_counts() -> TestResult {
    let ((_server, large), (_small_server, small)) = (start().await?, start_small().await?);
    let x = Array1::<f32>::ones(4050);
    let expected = large.dropout(&x, 0.3, 9).return_mask(true).send().await?;
    assert_eq!(small.dropout(&x, 0.3, 9).return_mask(true).send().await?, expected);
    Ok(())
}

/// What a server that counts was asked.
#[derive(Default)]
struct Counts {
    info: AtomicUsize,
    unary: AtomicUsize,
    streams: AtomicUsize,
}

/// A server that counts its calls, and has no answers but of its limits.
fn counting(limits: Result<(u64, u64), Code>) -> (Fake, Arc<Counts>) {
    let counts = Arc::<Counts>::default();
    let (info, unary, streams) = (Arc::clone(&counts), Arc::clone(&counts), Arc::clone(&counts));
    let fake = Fake {
        get_server_info: Box::new(move |_| {
            info.info.fetch_add(1, Ordering::Relaxed);
            let (max_message_bytes, max_stream_chunk_bytes) =
                limits.map_err(|code| Status::new(code, "it does not tell"))?;
            Ok(pb::GetServerInfoResponse { max_message_bytes, max_stream_chunk_bytes, ..Default::default() })
        }),
        dropout: Box::new(move |_| {
            unary.unary.fetch_add(1, Ordering::Relaxed);
            Err(Status::aborted("it only counts"))
        }),
        dropout_stream: Box::new(move |_| {
            streams.streams.fetch_add(1, Ordering::Relaxed);
            Err(Status::aborted("it only counts"))
        }),
        ..Fake::default()
    };
    (fake, counts)
}

#[tokio::test]
async fn the_limits_are_asked_for_once_and_decide() -> TestResult {
    // 800, 2000, 2000 and 4000 bytes, and the calls for limits, the unary calls and the streams that they make.
    let cases = [
        (Ok((3000, 1024)), (1, 3, 1)),
        (Ok((100, 1024)), (1, 1, 3)),
        (Ok((3000, 0)), (1, 4, 0)),
        (Err(Code::Unimplemented), (1, 4, 0)),
        // It may tell the next time.
        (Err(Code::PermissionDenied), (3, 4, 0)),
    ];
    let x = Array1::<f32>::ones(1000);
    for (limits, expected) in cases {
        let (fake, counts) = counting(limits);
        let client = fake.start().await?;
        for len in [200, 500, 500, 1000] {
            match client.clone().dropout(x.slice(s![..len]), 0.5, 1).send().await {
                Err(Error::Status(status)) => assert_eq!(status.code(), Code::Aborted),
                other => panic!("{limits:?}: {other:?}"),
            }
        }
        let Counts { info, unary, streams } = &*counts;
        let counts = [info, unary, streams].map(|count| count.load(Ordering::Relaxed));
        assert_eq!(<(usize, usize, usize)>::from(counts), expected, "{limits:?}");
    }
    Ok(())
}
