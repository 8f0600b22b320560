//! Streams that break the contract are errors that say how.

use std::fmt::Debug;

use evenkeel_client::{Client, Error};
use evenkeel_proto::v1 as pb;
use ndarray::{Array1, array};
use pb::dropout_stream_response::Part;
use tonic::{Code, Status};

use crate::{
    TestResult,
    fake::{Fake, Messages},
};

/// A client of a server that takes all of a request, and answers with these messages.
async fn answers(messages: Vec<Result<Part, Status>>) -> Result<Client, Box<dyn std::error::Error>> {
    let info = |_| {
        Ok(pb::GetServerInfoResponse { max_message_bytes: 2000, max_stream_chunk_bytes: 500, ..Default::default() })
    };
    let answer = move |_| {
        let messages: Vec<_> = messages
            .iter()
            .cloned()
            .map(|part| part.map(|part| pb::DropoutStreamResponse { part: Some(part) }))
            .collect();
        Ok(Box::pin(tokio_stream::iter(messages)) as Messages<_>)
    };
    let fake = Fake { get_server_info: Box::new(info), dropout_stream: Box::new(answer), ..Fake::default() };
    fake.start().await
}

#[track_caller]
pub(super) fn breaks<T: Debug>(result: Result<T, Error>, expected_field: &str) {
    match result {
        Err(Error::Protocol { field, reason }) => assert_eq!(field, expected_field, "{reason}"),
        other => panic!("expected a lie about {expected_field} to be found and got {other:?}"),
    }
}

/// The description of two float32.
fn tensor() -> pb::Tensor {
    pb::Tensor { dtype: pb::DataType::Float32.into(), shape: vec![2], ..Default::default() }
}

fn header(tensor: Option<pb::Tensor>) -> Part {
    Part::Header(pb::DropoutResponse { output: tensor, ..Default::default() })
}

fn data(len: usize) -> Part {
    Part::Data(vec![0; len].into())
}

fn mask(len: usize) -> Part {
    Part::Mask(vec![0; len].into())
}

fn summary() -> Part {
    Part::Summary(pb::DropoutResponse { kept: 1, ..Default::default() })
}

#[tokio::test]
async fn every_part_is_checked() -> TestResult {
    let honest = || header(Some(tensor()));
    let wrong = |change: fn(&mut pb::Tensor)| {
        let mut tensor = tensor();
        change(&mut tensor);
        header(Some(tensor))
    };
    let backward = Part::BackwardHeader(pb::DropoutBackwardResponse { grad_input: Some(tensor()) });
    let lies = [
        ("summary", vec![]),
        ("summary", vec![honest(), data(8), mask(1)]),
        ("summary", vec![honest(), data(8), mask(1), summary(), summary()]),
        ("header", vec![data(8), mask(1), summary()]),
        ("header", vec![honest(), honest(), data(8), mask(1), summary()]),
        ("header", vec![backward, data(8), mask(1), summary()]),
        ("output", vec![header(None), data(8), mask(1), summary()]),
        ("output.name", vec![wrong(|tensor| tensor.name = "y".to_owned())]),
        ("output.dtype", vec![wrong(|tensor| tensor.dtype = 2)]),
        ("output.shape", vec![wrong(|tensor| tensor.shape = vec![2, 1])]),
        ("output.data", vec![wrong(|tensor| tensor.data = vec![0; 8].into())]),
        ("data", vec![honest(), data(4), data(5), mask(1), summary()]),
        ("data", vec![honest(), data(7), mask(1), summary()]),
        ("mask", vec![honest(), data(8), mask(2), summary()]),
        ("mask", vec![honest(), data(8), summary()]),
    ];
    for (field, lie) in lies {
        let client = answers(lie.into_iter().map(Ok).collect()).await?;
        let x = array![1.0_f32, 2.0];
        let mut output = Vec::new();
        breaks(client.dropout_stream(&x, 0.5, 1).return_mask(true).send(&mut output).await, field);
        assert!(output.len() <= 8, "no more is written than is due");
    }
    let client = answers(vec![Ok(honest()), Ok(data(8)), Ok(mask(1)), Ok(summary())]).await?;
    let unasked = client.dropout_stream(&array![1.0_f32, 2.0], 0.5, 1).send(Vec::new()).await;
    breaks(unasked, "mask");
    breaks(client.dropout_backward_stream(&array![1.0_f32, 2.0], 0.5, 1).send(Vec::new()).await, "header");
    Ok(())
}

/// Also where an array is streamed because it is large, and where the server gives up in the middle.
#[tokio::test]
async fn arrays_are_no_less_safe() -> TestResult {
    let x = Array1::<f32>::ones(1000);
    let of_x = || header(Some(pb::Tensor { shape: vec![1000], ..tensor() }));
    breaks(answers(vec![Ok(of_x()), Ok(data(3999)), Ok(summary())]).await?.dropout(&x, 0.5, 1).send().await, "data");
    breaks(answers(vec![Ok(of_x()), Ok(data(4001)), Ok(summary())]).await?.dropout(&x, 0.5, 1).send().await, "data");
    breaks(answers(vec![Ok(of_x()), Ok(data(4000))]).await?.dropout(&x, 0.5, 1).send().await, "summary");
    let gives_up = answers(vec![Ok(of_x()), Ok(data(300)), Err(Status::aborted("no more"))]).await?;
    match gives_up.dropout(&x, 0.5, 1).send().await {
        Err(Error::Status(status)) => assert_eq!((status.code(), status.message()), (Code::Aborted, "no more")),
        other => panic!("{other:?}"),
    }
    Ok(())
}
