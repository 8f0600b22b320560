//! Batch normalization of samples that lie apart, against PyTorch's of all samples together, which is what `SyncBatchNorm` computes.
//!
//! Each sample is measured in a call of its own, the partials are merged, and each sample is normalized with the merged statistics.

use bytes::Bytes;
use evenkeel_proto::v1 as pb;
use pb::measure_statistics_request::Part;
use serde::Deserialize;
use tonic::Status;

use crate::{
    calls::{Answer, Call, Client, NormalizeArguments, Stored},
    manifest::Case,
};

/// The arguments of batch normalization in training, whose samples are normalized one by one.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Merged(NormalizeArguments);

impl Call for Merged {
    /// Training of several samples, which the first axis counts.
    fn covers(case: &Case<Self>, stored: &Stored) -> bool {
        let request = case.arguments.0.forward(case, stored);
        let shape = &request.input.as_ref().expect("a case has an input").shape;
        let is_training = request.training.unwrap_or(request.running_mean.is_none());
        let pools_samples = request.channel_axis != Some(0) && (request.axes.is_empty() || request.axes.contains(&0));
        request.kind == i32::from(pb::NormKind::Batch)
            && is_training
            && pools_samples
            && shape.len() > 1
            && shape[0] > 1
    }

    /// The gradients of weight and bias are sums over a part, which the client adds up.
    fn expects(field: &str) -> bool {
        !matches!(field, "grad_weight" | "grad_bias")
    }

    async fn call(case: &Case<Self>, stored: &Stored, client: &mut Client) -> Result<Answer, Status> {
        if crate::calls::is_backward(case) {
            let whole = case.arguments.0.backward(case, stored);
            let samples = parts(whole.input.as_ref()).into_iter().zip(parts(whole.grad_output.as_ref()));
            let requests: Vec<pb::NormalizeBackwardRequest> = samples
                .map(|(input, grad_output)| pb::NormalizeBackwardRequest {
                    input: Some(input),
                    grad_output: Some(grad_output),
                    ..whole.clone()
                })
                .collect();
            let headers = requests.iter().cloned().map(Part::BackwardHeader);
            let statistics = Some(statistics(headers, client).await?);
            let mut gradients = Vec::new();
            for request in requests {
                let request = pb::NormalizeBackwardRequest { statistics: statistics.clone(), ..request };
                gradients.extend(client.normalize_backward(request).await?.into_inner().grad_input);
            }
            let whole = whole.input.as_ref().expect("a case has an input");
            return Ok(Answer::of_gradients(pb::NormalizeBackwardResponse {
                grad_input: Some(joined(whole, &gradients)),
                ..Default::default()
            }));
        }
        let whole = case.arguments.0.forward(case, stored);
        let requests: Vec<pb::NormalizeRequest> = parts(whole.input.as_ref())
            .into_iter()
            .map(|input| pb::NormalizeRequest { input: Some(input), ..whole.clone() })
            .collect();
        let statistics = Some(statistics(requests.iter().cloned().map(Part::Header), client).await?);
        let (mut outputs, mut answers) = (Vec::new(), Vec::new());
        for request in requests {
            let request = pb::NormalizeRequest { statistics: statistics.clone(), ..request };
            let mut answer = client.normalize(request).await?.into_inner();
            outputs.extend(answer.output.take());
            answers.push(answer);
        }
        let answer = answers.pop().expect("there are several samples");
        assert!(answers.iter().all(|other| *other == answer), "{}: every part has the same statistics", case.name);
        let whole = whole.input.as_ref().expect("a case has an input");
        Ok(Answer::of_output(pb::NormalizeResponse { output: Some(joined(whole, &outputs)), ..answer }))
    }
}

/// The samples of a tensor, with one sample each.
fn parts(tensor: Option<&pb::Tensor>) -> Vec<pb::Tensor> {
    let tensor = tensor.expect("a case has this tensor");
    let samples = usize::try_from(tensor.shape[0]).expect("a length");
    let bytes = tensor.data.len() / samples;
    let sample = |index: usize| pb::Tensor {
        shape: [&[1], &tensor.shape[1..]].concat(),
        data: tensor.data.slice(index * bytes..(index + 1) * bytes),
        ..tensor.clone()
    };
    (0..samples).map(sample).collect()
}

/// The tensor whose samples these are. `whole` has its shape.
fn joined(whole: &pb::Tensor, parts: &[pb::Tensor]) -> pb::Tensor {
    let data: Vec<u8> = parts.iter().flat_map(|part| part.data.iter().copied()).collect();
    pb::Tensor { shape: whole.shape.clone(), data: Bytes::from(data), ..parts[0].clone() }
}

/// The merged statistics of parts that are each measured by themselves.
async fn statistics(parts: impl Iterator<Item = Part>, client: &mut Client) -> Result<pb::StatisticsPartial, Status> {
    let mut partials = Vec::new();
    for part in parts {
        let message = pb::MeasureStatisticsRequest { part: Some(part), ..Default::default() };
        partials.push(measure(message, client).await?);
    }
    // The order does not matter.
    partials.reverse();
    measure(pb::MeasureStatisticsRequest { partials, ..Default::default() }, client).await
}

async fn measure(message: pb::MeasureStatisticsRequest, client: &mut Client) -> Result<pb::StatisticsPartial, Status> {
    Ok(client.measure_statistics(tokio_stream::iter([message])).await?.into_inner())
}
