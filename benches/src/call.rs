//! A request, prepared once and sent as it is, and the check of its response.

use std::iter;

use bytes::Bytes;
use evenkeel_frames::{PREFIX, encoded};
use evenkeel_load::Kind;
use evenkeel_proto::v1::{self as pb, normalize_stream_request::Part, normalize_stream_response::Part as Answered};
use http::Uri;
use prost::Message;

use crate::{
    Result,
    data::{self, ROW, Tolerance, check_layer_norm},
    echo, kserve,
};

/// A call whose request is known beforehand.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The method's path.
    pub(crate) path: &'static str,
    /// The request's body: one gRPC message, or those of a stream.
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
    /// The messages of a NormalizeStream.
    NormalizedStream,
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

    /// The same as a stream whose messages have `chunk` bytes of the tensor.
    pub(crate) fn normalize_stream(bytes: usize, chunk: usize) -> Self {
        let input = data::float32(bytes);
        let tensor = pb::Tensor { dtype: pb::DataType::Float32.into(), shape: shape(bytes), ..Default::default() };
        let header =
            pb::NormalizeRequest { kind: pb::NormKind::Layer.into(), input: Some(tensor), ..Default::default() };
        let mut body = Vec::with_capacity(bytes + 32 * bytes.div_ceil(chunk) + 1024);
        let parts = (0..bytes).step_by(chunk).map(|from| Part::Data(input.slice(from..bytes.min(from + chunk))));
        for part in iter::once(Part::Header(header)).chain(parts) {
            body.extend_from_slice(&encoded(&pb::NormalizeStreamRequest { part: Some(part) }));
        }
        let path = "/evenkeel.v1.TensorOpsService/NormalizeStream";
        Self { path, body: body.into(), input, answer: Answer::NormalizedStream }
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

    /// The form of the response.
    pub(crate) fn kind(&self) -> Kind {
        match self.answer {
            Answer::NormalizedStream => Kind::Pieces,
            Answer::Echo | Answer::Normalized(_) | Answer::Inferred => Kind::Message,
        }
    }

    /// The URI of the call.
    pub(crate) fn uri(&self) -> Result<Uri> {
        Ok(Uri::builder().scheme("http").authority("localhost").path_and_query(self.path).build()?)
    }

    /// Compares the body of a response with the right one.
    pub(crate) fn check(&self, body: &[u8]) -> Result<()> {
        if let Answer::NormalizedStream = self.answer {
            return check_layer_norm(&self.input, &elements(body)?, Tolerance::Ulp);
        }
        let message = body.get(PREFIX..).ok_or("the answer has no message")?;
        match self.answer {
            Answer::Echo if body == self.body => Ok(()),
            Answer::Echo => Err("the echo is not what was sent".into()),
            Answer::Normalized(tolerance) => {
                let output = pb::NormalizeResponse::decode(message)?.output.ok_or("the answer has no output")?;
                check_layer_norm(&self.input, &output.data, tolerance)
            }
            Answer::NormalizedStream => Err("it has many messages".into()),
            Answer::Inferred => {
                let output = kserve::ModelInferResponse::decode(message)?.output()?;
                check_layer_norm(&self.input, &output, Tolerance::Float32)
            }
        }
    }
}

/// The bytes of the tensor in the messages of a NormalizeStream, between its header and its summary.
fn elements(mut body: &[u8]) -> Result<Vec<u8>> {
    let (mut data, mut has_header, mut has_summary) = (Vec::new(), false, false);
    while let Some((prefix, rest)) = body.split_first_chunk::<PREFIX>() {
        let &[0, a, b, c, d] = prefix else { return Err("the answer is compressed".into()) };
        let (message, rest) =
            rest.split_at_checked(u32::from_be_bytes([a, b, c, d]) as usize).ok_or("a message is cut")?;
        match pb::NormalizeStreamResponse::decode(message)?.part.ok_or("a message is empty")? {
            Answered::Header(_) => has_header = true,
            Answered::Data(bytes) => data.extend_from_slice(&bytes),
            Answered::Summary(_) => has_summary = true,
        }
        body = rest;
    }
    if has_header && has_summary && body.is_empty() { Ok(data) } else { Err("the answer is not complete".into()) }
}

fn shape(bytes: usize) -> Vec<i64> {
    [bytes / 4 / ROW, ROW].map(|dim| dim as i64).to_vec()
}
