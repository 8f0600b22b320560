//! Streams of gradients and of normalizations that break the contract are errors that say how.

use evenkeel_client::{Client, Error, NormKind};
use evenkeel_proto::v1 as pb;
use ndarray::{Array1, array};
use pb::{clip_gradients_stream_response::Part as Clip, normalize_stream_response::Part as Norm};

use super::lies::breaks;
use crate::{
    TestResult,
    fake::{Fake, Messages},
};

/// A client of a server with short messages that answers every stream with these.
async fn answers(clip: Vec<Clip>, norm: Vec<Norm>) -> Result<Client, Box<dyn std::error::Error>> {
    let info = |_| {
        Ok(pb::GetServerInfoResponse { max_message_bytes: 1024, max_stream_chunk_bytes: 500, ..Default::default() })
    };
    let clip_gradients_stream = move |_| {
        let parts = clip.clone().into_iter().map(|part| Ok(pb::ClipGradientsStreamResponse { part: Some(part) }));
        Ok(Box::pin(tokio_stream::iter(parts)) as Messages<_>)
    };
    let normalize_stream = move |_| {
        let parts = norm.clone().into_iter().map(|part| Ok(pb::NormalizeStreamResponse { part: Some(part) }));
        Ok(Box::pin(tokio_stream::iter(parts)) as Messages<_>)
    };
    let fake = Fake {
        get_server_info: Box::new(info),
        clip_gradients_stream: Box::new(clip_gradients_stream),
        normalize_stream: Box::new(normalize_stream),
        ..Fake::default()
    };
    fake.start().await
}

/// The description of so many float32.
fn tensor(name: &str, len: i64) -> pb::Tensor {
    let name = name.to_owned();
    pb::Tensor { name, dtype: pb::DataType::Float32.into(), shape: vec![len], ..Default::default() }
}

#[tokio::test]
async fn every_part_of_a_clipping_is_checked() -> TestResult {
    let header = || Clip::Header(pb::ClipGradientsResponse::default());
    let summary = || Clip::Summary(pb::ClipGradientsResponse::default());
    let (a, b) = (|| Clip::Tensor(tensor("a", 2)), || Clip::Tensor(tensor("b", 1)));
    let data = |len: usize| Clip::Data(vec![0; len].into());
    let lies = [
        ("summary", vec![]),
        ("summary", vec![header(), a(), data(8), b(), data(4)]),
        ("summary", vec![header(), a(), data(8), b(), data(4), summary(), summary()]),
        ("header", vec![a(), data(8), b(), data(4), summary()]),
        ("header", vec![header(), a(), header()]),
        ("tensor", vec![header(), data(8), summary()]),
        ("gradients", vec![header(), a(), data(8), summary()]),
        ("gradients", vec![header(), summary()]),
        ("gradients", vec![header(), a(), data(8), b(), data(4), b(), summary()]),
        ("gradients[0].name", vec![header(), b(), data(8), summary()]),
        ("gradients[1].shape", vec![header(), a(), data(8), Clip::Tensor(tensor("b", 2)), data(8), summary()]),
        ("gradients[0].data", vec![header(), a(), data(7), b(), data(4), summary()]),
        ("gradients[0].data", vec![header(), a(), data(9), b(), data(4), summary()]),
        ("gradients[1].data", vec![header(), a(), data(8), b(), data(3), summary()]),
    ];
    for (field, lie) in lies {
        let client = answers(lie, Vec::new()).await?;
        let (a, b) = (array![1.0_f32, 2.0], array![3.0_f32]);
        let mut output = Vec::new();
        breaks(client.clip_gradients_stream([("a", &a), ("b", &b)]).by_value(1.0).send(&mut output).await, field);
        assert!(output.len() <= 12, "no more is written than is due");
    }
    // Arrays that are streamed because they are large are no less safe.
    let x = || Array1::<f32>::ones(1000);
    let of_x = || Clip::Tensor(tensor("x", 1000));
    for (field, lie) in [
        ("gradients[0].data", vec![header(), of_x(), data(3999), summary()]),
        ("gradients", vec![header(), summary()]),
        ("gradients[0].name", vec![header(), Clip::Tensor(tensor("y", 1000)), data(4000), summary()]),
    ] {
        breaks(answers(lie, Vec::new()).await?.clip_gradients([("x", x())]).by_norm(1.0).send().await, field);
    }
    Ok(())
}

#[tokio::test]
async fn every_part_of_a_normalization_is_checked() -> TestResult {
    let of = |name: &str, axes: Vec<i32>| {
        Norm::Header(pb::NormalizeResponse { axes, output: Some(tensor(name, 2)), ..Default::default() })
    };
    let header = || of("", vec![0]);
    let summary = || Norm::Summary(pb::NormalizeResponse::default());
    let data = |len: usize| Norm::Data(vec![0; len].into());
    let running = pb::NormalizeResponse { running_mean: Some(tensor("", 0)), ..Default::default() };
    let mean = pb::Tensor { dtype: pb::DataType::Float64.into(), ..tensor("", 0) };
    let mean = pb::NormalizeResponse { mean: Some(mean), ..Default::default() };
    let lies = [
        ("summary", vec![]),
        ("summary", vec![header(), data(8)]),
        ("summary", vec![header(), data(8), summary(), data(0)]),
        ("header", vec![data(8), summary()]),
        ("header", vec![header(), header(), data(8), summary()]),
        ("output", vec![Norm::Header(pb::NormalizeResponse::default())]),
        ("output.name", vec![of("y", vec![0]), data(8), summary()]),
        ("axes", vec![of("", vec![1]), data(8), summary()]),
        ("data", vec![header(), data(7), summary()]),
        ("data", vec![header(), data(9), summary()]),
        ("mean", vec![header(), data(8), Norm::Summary(mean)]),
        ("running_mean", vec![header(), data(8), Norm::Summary(running)]),
    ];
    for (field, lie) in lies {
        let client = answers(Vec::new(), lie).await?;
        let x = array![1.0_f32, 2.0];
        let mut output = Vec::new();
        breaks(client.normalize_stream(&x).kind(NormKind::Layer).send(&mut output).await, field);
        assert!(output.len() <= 8, "no more is written than is due");
    }
    Ok(())
}

/// Readers and writers that fail, or end early, in each of the calls.
#[tokio::test]
async fn readers_and_writers_that_fail_are_errors_of_their_own() -> TestResult {
    use evenkeel_client::{DType, TensorReader, TensorSource};

    let (_server, client) = super::start_small().await?;
    let bytes = vec![0; 10_001];
    let short = || TensorReader::new(DType::F32, [1 << 20], &bytes[..]);
    let closed = || {
        TensorSource::new(DType::F32, [4], || std::future::ready(Err::<&[u8], _>(std::io::ErrorKind::NotFound.into())))
    };
    let nowhere = tokio::io::sink;
    for answer in [
        client.clip_gradients_stream([("x", short())]).by_value(1.0).send(nowhere()).await.map(drop),
        client.clip_gradients_stream([("x", closed())]).by_value(1.0).send(nowhere()).await.map(drop),
        client.normalize_stream(short()).kind(NormKind::Layer).send(nowhere()).await.map(drop),
        client.normalize_stream(closed()).kind(NormKind::Layer).send(nowhere()).await.map(drop),
        client.measure_gradients_stream([("x", short())]).send().await.map(drop),
        client.measure_statistics_stream(closed()).kind(NormKind::Layer).send().await.map(drop),
    ] {
        assert!(matches!(answer, Err(Error::Read(_))), "{answer:?}");
    }
    let x = ndarray::Array2::<f32>::ones((5000, 7));
    let mut file = [0_u8; 3000];
    let full = std::io::Cursor::new(&mut file[..]);
    let refuses = |_| std::future::ready(Err::<Vec<u8>, _>(std::io::ErrorKind::PermissionDenied.into()));
    for answer in [
        client.clip_gradients_stream([("x", &x)]).by_value(1.0).send_each(refuses).await.map(drop),
        client.normalize_stream(&x).kind(NormKind::Layer).send(full).await.map(drop),
    ] {
        assert!(matches!(answer, Err(Error::Write(_))), "{answer:?}");
    }
    match client.clip_gradients_stream([("x", &x)]).by_value(-1.0).send(nowhere()).await {
        Err(Error::InvalidArgument { violations, .. }) => assert!(violations[0].field.ends_with("threshold")),
        other => panic!("{other:?}"),
    }
    Ok(())
}
