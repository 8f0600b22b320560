//! A request, prepared once and sent as it is, and the check of its response.

use bytes::Bytes;
use evenkeel_frames::{PREFIX, encoded};
use evenkeel_proto::v1 as pb;
use http::Uri;
use prost::Message;

use crate::{
    Result,
    data::{self, ROW, Tolerance, check_layer_norm},
    echo, kserve,
};

/// A unary call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The method's path.
    pub(crate) path: &'static str,
    /// The request's body: one gRPC message.
    pub(crate) body: Bytes,
    /// The tensor's bytes.
    input: Bytes,
    answer: Answer,
}

/// The kind of the response.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// The bytes of the request.
    Echo,
    /// A `NormalizeResponse`.
    Normalized(Tolerance),
    /// A `ModelInferResponse`.
    Inferred,
}

impl Call {
    /// Layer normalization of float32 rows.
    pub(crate) fn normalize(bytes: usize, tolerance: Tolerance) -> Self {
        let input = data::float32(bytes);
        let tensor = pb::Tensor {
            dtype: pb::DataType::Float32.into(),
            shape: shape(bytes),
            data: input.clone(),
            ..Default::default()
        };
        let request =
            pb::NormalizeRequest { kind: pb::NormKind::Layer.into(), input: Some(tensor), ..Default::default() };
        let path = "/evenkeel.v1.TensorOpsService/Normalize";
        Self { path, body: encoded(&request), input, answer: Answer::Normalized(tolerance) }
    }

    /// A call of the echo with the same tensor.
    pub(crate) fn echo(bytes: usize) -> Self {
        let input = data::float32(bytes);
        let body = encoded(&echo::Payload { data: input.clone() });
        Self { path: echo::PATH, body, input, answer: Answer::Echo }
    }

    /// A call of a KServe server's model `layer_norm` with the same tensor.
    pub(crate) fn infer(bytes: usize) -> Self {
        let input = data::float32(bytes);
        let body = encoded(&kserve::ModelInferRequest::layer_norm(shape(bytes), input.clone()));
        Self { path: kserve::PATH, body, input, answer: Answer::Inferred }
    }

    /// The URI of the call.
    pub(crate) fn uri(&self) -> Result<Uri> {
        Ok(Uri::builder().scheme("http").authority("localhost").path_and_query(self.path).build()?)
    }

    /// Compares the body of a response with the right one.
    pub(crate) fn check(&self, body: &[u8]) -> Result<()> {
        let message = body.get(PREFIX..).ok_or("the answer has no message")?;
        match self.answer {
            Answer::Echo if body == self.body => Ok(()),
            Answer::Echo => Err("the echo is not what was sent".into()),
            Answer::Normalized(tolerance) => {
                let output = pb::NormalizeResponse::decode(message)?.output.ok_or("the answer has no output")?;
                check_layer_norm(&self.input, &output.data, tolerance)
            }
            Answer::Inferred => {
                let output = kserve::ModelInferResponse::decode(message)?.output()?;
                check_layer_norm(&self.input, &output, Tolerance::Float32)
            }
        }
    }
}

fn shape(bytes: usize) -> Vec<i64> {
    [bytes / 4 / ROW, ROW].map(|dim| dim as i64).to_vec()
}
