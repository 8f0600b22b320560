//! Makes tensors and requests.

use bytes::Bytes;
use evenkeel_proto::v1 as pb;

/// Every kind of normalization that the contract has.
pub fn norm_kinds() -> impl Iterator<Item = pb::NormKind> {
    (1..).map_while(|value| pb::NormKind::try_from(value).ok())
}

/// A float32 tensor in `data`.
pub fn f32s(shape: &[i64], elements: &[f32]) -> pb::Tensor {
    let data: Vec<_> = elements.iter().map(|x| x.to_le_bytes()).collect();
    tensor(pb::DataType::Float32, shape, data.into_flattened())
}

/// A tensor of any dtype in `data`.
pub fn tensor(dtype: pb::DataType, shape: &[i64], data: Vec<u8>) -> pb::Tensor {
    pb::Tensor {
        name: String::new(),
        dtype: dtype.into(),
        shape: shape.to_vec(),
        float_data: Vec::new(),
        data: Bytes::from(data),
    }
}

/// The elements of a float32 tensor in `data`.
pub fn elements(tensor: Option<&pb::Tensor>) -> Vec<f32> {
    let tensor = tensor.expect("the answer has this tensor");
    assert_eq!(tensor.dtype(), pb::DataType::Float32);
    let (elements, rest) = tensor.data.as_chunks();
    assert!(rest.is_empty());
    elements.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

/// The bits of elements, which differ for -0.0 and 0.0 and for different NaNs.
pub fn bits(elements: &[f32]) -> Vec<u32> {
    elements.iter().map(|x| x.to_bits()).collect()
}

/// A valid Normalize request, which a test may then spoil.
pub fn normalize(kind: pb::NormKind, input: pb::Tensor) -> pb::NormalizeRequest {
    pb::NormalizeRequest { kind: kind.into(), input: Some(input), ..Default::default() }
}

/// A valid ClipGradients request, which a test may then spoil.
pub fn clip(mode: pb::ClipMode, threshold: f64, gradients: Vec<pb::Tensor>) -> pb::ClipGradientsRequest {
    pb::ClipGradientsRequest { mode: mode.into(), threshold: Some(threshold), gradients, ..Default::default() }
}

/// A valid Dropout request, which a test may then spoil.
pub fn dropout(p: f64, input: pb::Tensor) -> pb::DropoutRequest {
    pb::DropoutRequest { p: Some(p), seed: 42, input: Some(input), ..Default::default() }
}
