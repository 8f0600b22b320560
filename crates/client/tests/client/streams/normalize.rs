//! NormalizeStream gives what Normalize gives.

use evenkeel::{config::ServerConfig, server::Running};
use evenkeel_client::{
    Client, DType, Element, NormKind, Normalize, Normalized, NormalizedStream, Tensor, TensorReader, TensorSource,
    half::{bf16, f16},
};
use ndarray::{Array1, Array3, ArrayView3, Dimension as _, Ix3, array};

use super::{Dripping, array_of, bytes_of, cube, start_small};
use crate::{TestResult, start};

/// The same options for a call on arrays and one on readers.
macro_rules! with_options {
    ($call:expr, $kind:expr) => {{
        let call = $call.kind($kind).return_statistics(true).eps(1e-3);
        if $kind == NormKind::Group { call.groups(2) } else { call }
    }};
}

/// As the summary of a stream has them.
fn numbers<A: Element>(normalized: Normalized<A, Ix3>) -> NormalizedStream
where
    A::Statistic: Element,
{
    let Normalized { output: _, axes, mean, rstd, running_mean, running_var } = normalized;
    NormalizedStream { axes, mean: mean.map(Tensor::from), rstd: rstd.map(Tensor::from), running_mean, running_var }
}

async fn compare<A: Element>(unary: &Client, small: &Client, view: ArrayView3<'_, A>) -> TestResult
where
    A::Statistic: Element,
{
    for kind in NormKind::ALL {
        let expected = with_options!(unary.normalize(view), kind).send().await?;
        let (dim, bytes) = (view.raw_dim(), bytes_of(view));
        let output_bytes = bytes_of(expected.output.view());
        let expected = numbers(expected);
        // In chunks of 2 KiB and of 1 MiB.
        for client in [small, unary] {
            let mut output = Vec::new();
            let normalized = with_options!(client.normalize_stream(view), kind).send(&mut output).await?;
            assert!(output == output_bytes, "{kind:?}");
            assert_eq!(normalized, expected, "{kind:?}");
            let reader = TensorReader::new(A::DTYPE, dim.slice(), Dripping::new(&bytes));
            output.clear();
            let normalized = with_options!(client.normalize_stream(reader), kind).send(&mut output).await?;
            assert!(output == output_bytes, "{kind:?}");
            assert_eq!(normalized, expected, "{kind:?}");
        }

        let statistics = match kind {
            NormKind::Group => unary.measure_statistics(view).kind(kind).groups(2).send().await?,
            NormKind::Batch | NormKind::Layer | NormKind::Rms | NormKind::Instance | NormKind::L2 => {
                unary.measure_statistics(view).kind(kind).send().await?
            }
        };
        let expected = with_options!(unary.normalize(view), kind).statistics(&statistics).send().await?;
        let mut output = Vec::new();
        let call = with_options!(small.normalize_stream(view), kind);
        let normalized = call.send_in_two_passes(&mut output).await?;
        assert!(array_of::<A, _>(dim, &output) == expected.output, "{kind:?}");
        assert_eq!(normalized, numbers(expected), "{kind:?}");
    }
    Ok(())
}

/// Statistics of many sets need long messages, and chunks can be short all the same.
#[tokio::test]
async fn streams_have_the_results_of_the_unary_calls() -> TestResult {
    let config = ServerConfig { max_stream_chunk_bytes: 2048, ..ServerConfig::on_free_port() };
    let small_server = Running::start(config).await?;
    let ((_server, unary), small) = (start().await?, Client::connect(small_server.url()).await?);
    for shape in [(3, 4, 67), (2, 2, 1025)] {
        compare(&unary, &small, cube(shape, |x| x as f32).view()).await?;
        compare(&unary, &small, cube(shape, |x| x).view()).await?;
        compare(&unary, &small, cube(shape, f16::from_f64).view()).await?;
        compare(&unary, &small, cube(shape, bf16::from_f64).view()).await?;
    }
    compare(&unary, &small, cube((31, 4, 5), |x| x as f32).t()).await
}

/// Weights, and running statistics that are used or updated.
#[tokio::test]
async fn parameters_go_along() -> TestResult {
    let ((_server, unary), (_small_server, small)) = (start().await?, start_small().await?);
    let x = cube((9, 3, 301), |x| x as f32);
    let (mean, var) = (array![0.5_f64, -1.0, 2.0], array![1.0_f32, 4.0, 0.25]);
    let (weight, bias) = (array![1.5_f32, -2.0, 0.1], Array1::<f64>::ones(3));
    for training in [None, Some(true), Some(false)] {
        macro_rules! call {
            ($call:expr) => {{
                let call = $call.kind(NormKind::Batch).weight(&weight).bias(&bias).running_statistics(&mean, &var);
                let call = call.momentum(0.25);
                if let Some(training) = training { call.training(training) } else { call }
            }};
        }
        let expected = call!(unary.normalize(&x)).send().await?;
        assert_eq!(expected.running_mean.is_some(), training == Some(true));
        let mut output = Vec::new();
        let normalized = call!(small.normalize_stream(&x)).send(&mut output).await?;
        assert!(array_of::<f32, _>(x.raw_dim(), &output) == expected.output);
        if training != Some(true) {
            // One pass: there is nothing to measure, and the reader can be read once.
            let mut output = Vec::new();
            let bytes = bytes_of(x.view());
            let once = TensorReader::new(DType::F32, [9, 3, 301], &bytes[..]);
            assert_eq!(call!(small.normalize_stream(once)).send_in_two_passes(&mut output).await?, normalized);
            assert!(array_of::<f32, _>(x.raw_dim(), &output) == expected.output);
        }
        assert_eq!(normalized, numbers(expected));
    }
    Ok(())
}

/// A batch whose samples are on two servers, measured by streams, however it is split.
#[tokio::test]
async fn parts_on_several_servers_make_the_whole() -> TestResult {
    let ((_server, one), (_other_server, other)) = (start_small().await?, start_small().await?);
    let x = cube((7, 3, 201), |x| x);
    let whole = one.measure_statistics_stream(&x).kind(NormKind::Batch).send().await?;
    let mut expected = Vec::new();
    one.normalize_stream(&x).kind(NormKind::Batch).statistics(&whole).send(&mut expected).await?;
    for at in 0..=7 {
        let (here, there) = x.view().split_at(ndarray::Axis(0), at);
        let mut here = one.normalize_stream(here).kind(NormKind::Batch);
        let mut there = other.normalize_stream(there).kind(NormKind::Batch);
        let mut merged = there.measure().await?;
        merged.merge(&here.measure().await?)?;
        assert_eq!(merged.encode(), whole.encode());
        let mut output = Vec::new();
        for part in [here, there] {
            part.statistics(&merged).send(&mut output).await?;
        }
        assert!(output == expected, "split at {at}");
    }
    Ok(())
}

#[tokio::test]
async fn arrays_larger_than_a_message_get_the_same() -> TestResult {
    let ((_server, large), (_small_server, small)) = (start().await?, start_small().await?);
    let x: Array3<f32> = cube((7, 4, 531), |x| x as f32);
    for kind in NormKind::ALL {
        let call = |client: &Client| -> Normalize<f32, Ix3> { with_options!(client.normalize(&x), kind) };
        assert_eq!(call(&small).send().await?, call(&large).send().await?, "{kind:?}");
    }
    Ok(())
}

/// A call that another task makes, of a source that it owns.
#[tokio::test]
async fn other_tasks_make_calls() -> TestResult {
    let (_server, client) = start_small().await?;
    let task = tokio::spawn(async move {
        let source =
            TensorSource::new(DType::F32, [5000, 2], || std::future::ready(Ok(std::io::Cursor::new(vec![0; 40_000]))));
        let mut output = Vec::new();
        let call = client.normalize_stream(source).kind(NormKind::Batch).bias(array![1.0_f32, 1.0]);
        call.send_in_two_passes(&mut output).await.map(|_| output)
    });
    assert!(task.await?? == 1.0_f32.to_le_bytes().repeat(10_000));
    Ok(())
}

/// A stack of 2 MiB has room for many calls, though each level of calls without optimization copies their futures.
#[tokio::test]
async fn futures_are_small() -> TestResult {
    let (_server, client) = start().await?;
    let x = Array1::<f32>::zeros(1);
    let sizes = [
        size_of_val(&client.normalize_stream(&x).kind(NormKind::Layer).send(Vec::new())),
        size_of_val(&client.normalize_stream(&x).kind(NormKind::Layer).send_in_two_passes(Vec::new())),
        size_of_val(&client.dropout_stream(&x, 0.5, 1).send(Vec::new())),
        size_of_val(&client.clip_gradients_stream([("x", &x)]).by_norm(1.0).send(Vec::new())),
        size_of_val(&client.clip_gradients_stream([("x", &x)]).by_norm(1.0).send_in_two_passes(Vec::new())),
        size_of_val(&client.measure_gradients_stream([("x", &x)]).send()),
        size_of_val(&client.measure_statistics_stream(&x).kind(NormKind::Layer).send()),
        size_of_val(&client.normalize(&x).kind(NormKind::Layer).send()),
        size_of_val(&client.clip_gradients([("x", &x)]).by_norm(1.0).send()),
        size_of_val(&client.dropout(&x, 0.5, 1).send()),
    ];
    assert!(sizes.iter().all(|&size| size < 32 << 10), "{sizes:?}");
    Ok(())
}
