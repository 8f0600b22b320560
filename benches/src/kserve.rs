//! The part of the Open Inference Protocol (KServe v2) that one model with one float32 tensor needs.
//! <https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/open_inference_grpc.proto>

use bytes::Bytes;
use prost::Message;

use crate::Result;

pub(crate) const PATH: &str = "/inference.GRPCInferenceService/ModelInfer";

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ModelInferRequest {
    #[prost(string, tag = "1")]
    model_name: String,
    /// Set, since a server would generate one otherwise.
    #[prost(string, tag = "3")]
    id: String,
    #[prost(message, repeated, tag = "5")]
    inputs: Vec<TensorDescription>,
    #[prost(bytes = "bytes", repeated, tag = "7")]
    raw_input_contents: Vec<Bytes>,
}

/// `InferInputTensor` and `InferOutputTensor`.
#[derive(Clone, PartialEq, Message)]
struct TensorDescription {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    datatype: String,
    #[prost(int64, repeated, tag = "3")]
    shape: Vec<i64>,
    #[prost(message, optional, tag = "5")]
    contents: Option<TensorContents>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorContents {
    #[prost(float, repeated, tag = "6")]
    fp32_contents: Vec<f32>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ModelInferResponse {
    #[prost(message, repeated, tag = "5")]
    outputs: Vec<TensorDescription>,
    #[prost(bytes = "bytes", repeated, tag = "6")]
    raw_output_contents: Vec<Bytes>,
}

impl ModelInferRequest {
    pub(crate) fn layer_norm(shape: Vec<i64>, data: Bytes) -> Self {
        let (name, datatype) = ("input".to_owned(), "FP32".to_owned());
        let inputs = vec![TensorDescription { name, datatype, shape, contents: None }];
        Self { model_name: "layer_norm".to_owned(), id: "1".to_owned(), inputs, raw_input_contents: vec![data] }
    }
}

impl ModelInferResponse {
    /// The bytes of the one output.
    pub(crate) fn output(self) -> Result<Bytes> {
        if let [raw] = self.raw_output_contents.as_slice() {
            return Ok(raw.clone());
        }
        let contents = self.outputs.first().and_then(|output| output.contents.as_ref());
        let contents = contents.ok_or("the answer has no output")?;
        Ok(contents.fp32_contents.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>().into())
    }
}
