//! What a server has no memory for.

use evenkeel::{
    config::{AdmissionConfig, ServerConfig},
    server::Running,
};
use evenkeel_client::{Client, ClipInput, Error, Gradient, NormKind, Tensor, TensorReader, TensorSource};
use ndarray::{Array1, Array2};

use super::bytes_of;
use crate::{TestResult, start};

/// More than such a server can hold.
const ELEMENTS: usize = 1_500_000;

/// A server with memory for 4 MiB.
async fn start_narrow() -> Result<(Running, Client), Box<dyn std::error::Error>> {
    let admission = AdmissionConfig { max_bytes_in_flight: Some(4 << 20), ..Default::default() };
    let config = ServerConfig { admission, max_message_bytes: 1 << 20, ..ServerConfig::on_free_port() };
    let server = Running::start(config).await?;
    let client = Client::connect(server.url()).await?;
    Ok((server, client))
}

fn elements() -> Array1<f32> {
    Array1::from_iter((0..ELEMENTS).map(|i| ((i * 7919) % 2003) as f32 - 900.0))
}

#[tokio::test]
async fn gradients_are_refused_in_one_pass_and_clipped_in_two() -> TestResult {
    let ((_server, unary), (_narrow_server, narrow)) = (start().await?, start_narrow().await?);
    let gradient = Tensor::from(elements());
    let gradients =
        || [Gradient { name: "w".to_owned(), tensor: gradient.clone() }, ("b", Array1::<f64>::ones(3)).into()];
    let sources = gradients();
    let sources = || sources.iter().map(|Gradient { name, tensor }| (&name[..], tensor));
    for per_tensor in [false, true] {
        macro_rules! call {
            ($call:expr) => {
                if per_tensor { $call.by_norm_per_tensor(3.0) } else { $call.by_norm(3.0) }
            };
        }
        match call!(narrow.clip_gradients_stream(sources())).send(tokio::io::sink()).await {
            Err(error @ Error::NeedsTwoPasses { .. }) => {
                assert!(error.to_string().contains("MeasureGradients"), "{error}");
            }
            other => panic!("{other:?}"),
        }
        let expected = call!(unary.clip_gradients(gradients())).send().await?;
        let mut output = Vec::new();
        let clipped = call!(narrow.clip_gradients_stream(sources())).send_in_two_passes(&mut output).await?;
        let numbers = (clipped.total_norm, clipped.scale, clipped.tensor_norms);
        assert_eq!(numbers, (expected.total_norm, expected.scale, expected.tensor_norms.clone()));
        let bytes = expected.gradients.iter().flat_map(|gradient| gradient.tensor.clone().into_le_bytes());
        assert!(bytes.eq(output));
        // Arrays do so by themselves.
        assert!(call!(narrow.clip_gradients(gradients())).send().await? == expected);
    }

    // No norm can be given for these, so that one pass is made.
    let no_norms: [fn(ClipInput) -> evenkeel_client::ClipGradients; 2] =
        [|input| input.by_norm(3.0).not_above(true), |input| input.by_norm(3.0).norm_type(3.0)];
    for call in no_norms {
        match call(narrow.clip_gradients(gradients())).send().await {
            Err(Error::NeedsTwoPasses { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_batch_is_refused_in_one_pass_and_normalized_in_two() -> TestResult {
    let ((_server, unary), (_narrow_server, narrow)) = (start().await?, start_narrow().await?);
    let x: Array2<f32> = elements().into_shape_with_order((ELEMENTS / 3, 3))?;
    match narrow.normalize_stream(&x).kind(NormKind::Batch).send(tokio::io::sink()).await {
        Err(error @ Error::NeedsTwoPasses { .. }) => {
            assert!(error.to_string().contains("MeasureStatistics"), "{error}")
        }
        other => panic!("{other:?}"),
    }
    let statistics = unary.measure_statistics(&x).kind(NormKind::Batch).send().await?;
    let call = unary.normalize(&x).kind(NormKind::Batch).statistics(&statistics).return_statistics(true);
    let expected = call.send().await?;
    let mut output = Vec::new();
    let call = narrow.normalize_stream(&x).kind(NormKind::Batch).return_statistics(true);
    let normalized = call.send_in_two_passes(&mut output).await?;
    assert_eq!(normalized.mean, expected.mean.clone().map(Tensor::from));
    assert!(output == bytes_of(expected.output.view()));
    // An array does so by itself.
    let call = narrow.normalize(&x).kind(NormKind::Batch).return_statistics(true);
    assert!(call.send().await? == expected);
    Ok(())
}

/// A reader is not read a second time behind the caller's back, and an error says why it cannot be.
#[tokio::test]
async fn a_reader_is_read_once() -> TestResult {
    let (_server, client) = start_narrow().await?;
    let bytes = [0_u8; 4000];
    let once = || TensorReader::new(evenkeel_client::DType::F32, [1000], &bytes[..]);
    let answers = [
        client.clip_gradients_stream([("x", once())]).by_norm(1.0).send_in_two_passes(Vec::new()).await.map(drop),
        client.normalize_stream(once()).kind(NormKind::Layer).send_in_two_passes(Vec::new()).await.map(drop),
    ];
    for answer in answers {
        match answer {
            Err(Error::Read(error)) => assert!(error.to_string().contains("TensorSource"), "{error}"),
            other => panic!("{other:?}"),
        }
    }
    // Both passes are made within one time limit.
    let waits =
        || TensorSource::new(evenkeel_client::DType::F32, [1000], std::future::pending::<std::io::Result<&[u8]>>);
    let hasty = client.with_timeout(std::time::Duration::from_millis(50));
    for answer in [
        hasty.clip_gradients_stream([("x", waits())]).by_norm(1.0).send_in_two_passes(Vec::new()).await.map(drop),
        hasty.normalize_stream(waits()).kind(NormKind::Layer).send(Vec::new()).await.map(drop),
    ] {
        assert!(matches!(answer, Err(Error::DeadlineExceeded { .. })), "{answer:?}");
    }
    Ok(())
}
