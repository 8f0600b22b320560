//! ClipGradientsStream gives what ClipGradients gives.

use std::io;

use evenkeel_client::{
    BoxReader, Client, ClipGradients, ClipGradientsStream, ClipInput, ClipStreamInput, Clipped, ClippedStream, DType,
    Error, Gradient, GradientSource, Open, Tensor, TensorReader, TensorSource,
    half::{bf16, f16},
};
use ndarray::{Array2, arr0, array};

use super::{Dripping, cube, start_small};
use crate::{TestResult, start};

/// Gradients of all types, of which some are larger than a chunk, one is empty and one a scalar.
fn gradients() -> Vec<Gradient> {
    vec![
        ("a", Tensor::from(cube((3, 31, 67), |x| x as f32))).into(),
        ("b", Tensor::from(cube((2, 0, 3), |x| x))).into(),
        ("", Tensor::from(cube((5, 41, 11), |x| x))).into(),
        ("d", Tensor::from(arr0(-300.0_f32))).into(),
        ("e", Tensor::from(cube((7, 13, 17), f16::from_f64))).into(),
        ("e", Tensor::from(cube((1, 1, 2049), bf16::from_f64))).into(),
    ]
}

fn sources(gradients: &[Gradient]) -> impl Iterator<Item = (&str, &Tensor)> {
    gradients.iter().map(|Gradient { name, tensor }| (&name[..], tensor))
}

/// A way of clipping, of arrays and of readers.
struct Way<O> {
    unary: fn(ClipInput) -> ClipGradients,
    stream: fn(ClipStreamInput<O>) -> ClipGradientsStream<O>,
}

macro_rules! way {
    (|$input:ident| $call:expr) => {
        Way { unary: |$input| $call, stream: |$input| $call }
    };
}

fn ways<O: Open>() -> Vec<Way<O>> {
    vec![
        way!(|input| input.by_value(7.5)),
        way!(|input| input.by_value(7.5).norm_type(3.0)),
        way!(|input| input.by_norm(2.0)),
        way!(|input| input.by_norm(2.0).norm_type(1.0).epsilon(0.0)),
        way!(|input| input.by_norm(1e9).norm_type(f64::INFINITY)),
        way!(|input| input.by_norm(2.0).norm_type(0.5)),
        way!(|input| input.by_norm(2.0).total_norm(77.25)),
        way!(|input| input.by_norm(2.0).not_above(true)),
        way!(|input| input.by_norm_per_tensor(500.0)),
        way!(|input| input.by_norm_per_tensor(1.5).norm_type(1.0)),
    ]
}

/// What was written to one writer for each gradient, and what the call says, are what the unary call gives.
#[track_caller]
fn expect_same(written: &[Vec<u8>], clipped: &ClippedStream, expected: &Clipped, case: &str) {
    let ClippedStream { total_norm, scale, clipped_elements, tensor_norms } = clipped;
    let numbers = (*total_norm, *scale, *clipped_elements, tensor_norms);
    let expected_numbers = (expected.total_norm, expected.scale, expected.clipped_elements, &expected.tensor_norms);
    assert_eq!(numbers, expected_numbers, "{case}");
    let expected: Vec<Vec<u8>> =
        expected.gradients.iter().map(|gradient| gradient.tensor.clone().into_le_bytes().to_vec()).collect();
    assert!(written == expected, "{case}");
}

#[tokio::test]
async fn streams_have_the_results_of_the_unary_calls() -> TestResult {
    let ((_server, unary), (_small_server, small)) = (start().await?, start_small().await?);
    let gradients = gradients();
    for (index, Way { unary: of_arrays, stream }) in ways().into_iter().enumerate() {
        let expected = of_arrays(unary.clip_gradients(gradients.clone())).send().await?;
        // In chunks of 2 KiB and of 1 MiB.
        for client in [&small, &unary] {
            let call = || stream(client.clip_gradients_stream(sources(&gradients)));
            for two_passes in [false, true] {
                let case = format!("way {index}, in two passes: {two_passes}");
                let mut written = vec![Vec::new(); gradients.len()];
                let mut writers = written.iter_mut();
                let open = |_| std::future::ready(writers.next().ok_or(io::ErrorKind::NotFound.into()));
                let clipped = match two_passes {
                    false => call().send_each(open).await?,
                    true => call().send_each_in_two_passes(open).await?,
                };
                expect_same(&written, &clipped, &expected, &case);

                let mut together = Vec::new();
                let again = match two_passes {
                    false => call().send(&mut together).await?,
                    true => call().send_in_two_passes(&mut together).await?,
                };
                assert_eq!(again, clipped, "{case}");
                assert!(together == written.concat(), "{case}");
            }
        }
    }
    Ok(())
}

/// Views of any layout, readers that drip, and lists of both, in calls that other tasks make.
#[tokio::test]
async fn gradients_come_from_anywhere() -> TestResult {
    let ((_server, unary), (_small_server, small)) = (start().await?, start_small().await?);
    let x = cube((13, 14, 15), |x| x as f32);
    let expected = unary.clip_gradients([("x", x.t()), ("y", x.t())]).by_norm(3.0).send().await?;
    let expected: Vec<u8> =
        expected.gradients.into_iter().flat_map(|gradient| gradient.tensor.into_le_bytes().to_vec()).collect();

    let mut output = Vec::new();
    let views = [("x", x.t()), ("y", x.t())];
    small.clip_gradients_stream(views).by_norm(3.0).send(&mut output).await?;
    assert!(output == expected);

    let bytes = super::bytes_of(x.t());
    output.clear();
    let readers = ["x", "y"].map(|name| (name, TensorReader::new(DType::F32, [15, 14, 13], Dripping::new(&bytes))));
    small.clip_gradients_stream(readers).by_norm(3.0).send(&mut output).await?;
    assert!(output == expected);

    let task = tokio::spawn(async move {
        let mut output = Vec::new();
        let open = |index: usize| {
            let bytes = bytes.clone();
            let boxed: BoxReader<'static> = match index {
                0 => Box::new(io::Cursor::new(bytes)),
                _ => Box::new(tokio::io::BufReader::new(io::Cursor::new(bytes))),
            };
            std::future::ready(Ok(boxed))
        };
        let sources = [0, 1].map(|index| {
            let tensor = TensorSource::new(DType::F32, [15, 14, 13], move || open(index));
            GradientSource::from((["x", "y"][index], tensor))
        });
        small.clip_gradients_stream(sources).by_norm(3.0).send_in_two_passes(&mut output).await.map(|_| output)
    });
    assert!(task.await?? == expected);
    Ok(())
}

/// Gradients on two servers are measured there, and clipped to the bytes that one server gives, however they are split.
#[tokio::test]
async fn parts_on_several_servers_make_the_whole() -> TestResult {
    let ((_server, one), (_other_server, other)) = (start_small().await?, start_small().await?);
    let gradients = gradients();
    let mut expected = Vec::new();
    let whole = one.measure_gradients_stream(sources(&gradients)).send().await?;
    one.clip_gradients_stream(sources(&gradients)).by_norm(2.0).send(&mut expected).await?;
    for at in 0..=gradients.len() {
        let (here, there) = gradients.split_at(at);
        let mut here = one.clip_gradients_stream(sources(here)).by_norm(2.0);
        let mut there = other.clip_gradients_stream(sources(there)).by_norm(2.0);
        let mut norm = there.measure().await?;
        norm.merge(&here.measure().await?)?;
        assert_eq!(norm.encode(), whole.encode());
        let mut output = Vec::new();
        for part in [here, there] {
            part.total_norm(norm.total_norm()).send(&mut output).await?;
        }
        assert!(output == expected, "split at {at}");
    }
    Ok(())
}

#[tokio::test]
async fn no_gradients_are_no_trouble() -> TestResult {
    let ((_server, unary), (_small_server, small)) = (start().await?, start_small().await?);
    let none = || std::iter::empty::<(&str, &Tensor)>();
    for (index, Way { unary: of_arrays, stream }) in ways().into_iter().enumerate() {
        let expected = of_arrays(unary.clip_gradients(none())).send().await?;
        for two_passes in [false, true] {
            let call = stream(small.clip_gradients_stream(none()));
            let clipped = match two_passes {
                false => call.send(Vec::new()).await?,
                true => call.send_in_two_passes(Vec::new()).await?,
            };
            expect_same(&[], &clipped, &expected, &format!("way {index}"));
        }
    }
    Ok(())
}

/// Arrays that are too large for a message go as a stream by themselves.
#[tokio::test]
async fn arrays_larger_than_a_message_get_the_same() -> TestResult {
    let ((_server, large), (_small_server, small)) = (start().await?, start_small().await?);
    for (index, Way { unary: of_arrays, .. }) in
        ways::<fn() -> std::future::Ready<io::Result<io::Cursor<Vec<u8>>>>>().into_iter().enumerate()
    {
        let call = |client: &Client| of_arrays(client.clip_gradients(gradients())).send();
        assert_eq!(call(&small).await?, call(&large).await?, "way {index}");
    }
    Ok(())
}

/// A norm that is NaN, with the gradients that make it so.
#[tokio::test]
async fn what_is_not_finite_is_named() -> TestResult {
    let (_server, client) = start_small().await?;
    let (good, bad) = (Array2::<f32>::ones((40, 50)), array![1.0_f32, f32::NAN]);
    let gradients: Vec<Gradient> = vec![("good", &good).into(), ("bad", &bad).into()];
    for per_tensor in [false, true] {
        for two_passes in [false, true] {
            let call = client.clip_gradients_stream(sources(&gradients));
            let call = if per_tensor { call.by_norm_per_tensor(1.0) } else { call.by_norm(1.0) };
            let call = call.error_if_nonfinite(true);
            let answer = match two_passes {
                false => call.send(tokio::io::sink()).await,
                true => call.send_in_two_passes(tokio::io::sink()).await,
            };
            match answer {
                Err(Error::NonFiniteNorm { total_norm, elements, .. }) => {
                    assert!(total_norm.is_nan());
                    assert_eq!((elements.nan, elements.first), (1, vec![(1, "bad".to_owned())]));
                }
                other => panic!("{other:?}"),
            }
        }
    }
    Ok(())
}
