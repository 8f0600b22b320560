//! The requests of the soak: every kind of the calls that carry tensors, except MeasureStatistics, with tensors of a
//! kilobyte to many megabytes, and invalid requests.

use bytes::Bytes;
use evenkeel_frames::{Announced, encoded};
use evenkeel_proto::v1 as pb;
use pb::{ClipMode, DataType, DropoutKind, NormKind};
use prost::Message;
use tonic::Code;

use crate::data::value;

/// The largest message that the server accepts.
pub(super) const MAX_MESSAGE_BYTES: usize = 32 << 20;
/// A large tensor; a message may have two.
const LARGE: usize = 17 << 20;

const NORMALIZE: &str = "/evenkeel.v1.TensorOpsService/Normalize";
const NORMALIZE_BACKWARD: &str = "/evenkeel.v1.TensorOpsService/NormalizeBackward";
const DROPOUT: &str = "/evenkeel.v1.TensorOpsService/Dropout";
const DROPOUT_BACKWARD: &str = "/evenkeel.v1.TensorOpsService/DropoutBackward";
const CLIP: &str = "/evenkeel.v1.TensorOpsService/ClipGradients";
const MEASURE: &str = "/evenkeel.v1.TensorOpsService/MeasureGradients";

const DTYPES: [DataType; 4] = [DataType::Float32, DataType::Float64, DataType::Float16, DataType::Bfloat16];
const DROPOUTS: [DropoutKind; 4] =
    [DropoutKind::Element, DropoutKind::Channel, DropoutKind::Alpha, DropoutKind::FeatureAlpha];
const CLIPS: [(ClipMode, f64); 6] = [
    (ClipMode::Norm, 2.0),
    (ClipMode::Norm, 1.0),
    (ClipMode::Norm, f64::INFINITY),
    (ClipMode::Norm, 3.0),
    (ClipMode::Value, 2.0),
    (ClipMode::NormPerTensor, 2.0),
];

/// A request, as it goes over the wire.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// The name for messages.
    pub(super) name: String,
    /// The method.
    pub(super) path: String,
    /// The messages, with their prefixes; sent one after the other.
    pub(super) messages: Vec<Bytes>,
    /// The status that the call must end with.
    pub(super) code: Code,
}

/// All requests.
#[derive(Debug)]
pub(super) struct Catalogue {
    /// Of 1 KiB to 64 KiB.
    pub(super) small: Vec<Request>,
    /// Of 1 MiB.
    pub(super) middle: Vec<Request>,
    /// Of 17 MiB.
    pub(super) large: Vec<Request>,
    /// Requests that must be refused.
    pub(super) wrong: Vec<Request>,
}

impl Catalogue {
    pub(super) fn new() -> Self {
        let small = [every(1 << 10), every(64 << 10)].concat();
        Self { small, middle: every(1 << 20), large: large(), wrong: wrong() }
    }
}

/// Every such call with every kind, and Normalize with every dtype, on tensors of so many bytes.
fn every(bytes: usize) -> Vec<Request> {
    let mut all = Vec::new();
    for kind in (1..).map_while(|value| NormKind::try_from(value).ok()) {
        for dtype in DTYPES {
            all.push(normalize(kind, dtype, bytes));
        }
        all.push(normalize_backward(kind, DataType::Float32, bytes));
        all.push(normalize_backward(kind, DataType::Bfloat16, bytes));
    }
    for (kind, dtype) in DROPOUTS.into_iter().zip(DTYPES) {
        all.push(dropout(kind, dtype, bytes));
        all.push(dropout_backward(kind, dtype, bytes));
    }
    for (mode, order) in CLIPS {
        all.push(clip(mode, order, &[(DataType::Float32, bytes / 2), (DataType::Float16, bytes / 2)]));
    }
    for order in [1.0, 2.0, f64::INFINITY] {
        all.push(measure(order, bytes, 3));
    }
    all
}

fn large() -> Vec<Request> {
    vec![
        normalize(NormKind::Layer, DataType::Float32, LARGE),
        normalize(NormKind::Batch, DataType::Bfloat16, LARGE),
        normalize_backward(NormKind::Rms, DataType::Float32, LARGE / 2),
        dropout(DropoutKind::Element, DataType::Float32, LARGE),
        clip(ClipMode::Norm, 2.0, &[(DataType::Float32, LARGE / 2), (DataType::Float32, LARGE / 2)]),
        clip(ClipMode::Value, f64::INFINITY, &[(DataType::Float64, LARGE)]),
        measure(2.0, LARGE, 3),
    ]
}

fn wrong() -> Vec<Request> {
    let good = || tensor(DataType::Float32, 1 << 10, 0);
    let refused = |name: &str, path: &str, message: &dyn Encode, code| Request {
        name: format!("wrong: {name}"),
        path: path.to_owned(),
        messages: vec![message.framed()],
        code,
    };
    let norm = |input| pb::NormalizeRequest { kind: NormKind::Layer.into(), input: Some(input), ..Default::default() };
    let short = pb::Tensor { data: good().data.slice(1..), ..good() };
    let overflow = pb::Tensor { shape: vec![1 << 32, 1 << 32], ..good() };
    let nan = pb::DropoutRequest { p: Some(f64::NAN), input: Some(good()), ..Default::default() };
    let nonfinite = pb::ClipGradientsRequest {
        mode: ClipMode::Norm.into(),
        threshold: Some(1.0),
        error_if_nonfinite: true,
        gradients: vec![pb::Tensor { data: f32::NAN.to_le_bytes().repeat(256).into(), ..good() }],
        ..Default::default()
    };
    let unreadable = Request {
        name: "wrong: no protobuf".to_owned(),
        path: NORMALIZE.to_owned(),
        messages: vec![[Announced::plain(64).to_bytes().as_ref(), &[0xff; 64]].concat().into()],
        code: Code::Internal,
    };
    let oversize = Request {
        name: "wrong: a length above the limit".to_owned(),
        path: DROPOUT.to_owned(),
        messages: vec![[&[0][..], &(MAX_MESSAGE_BYTES as u32 + 1).to_be_bytes(), &[0; 1024]].concat().into()],
        code: Code::ResourceExhausted,
    };
    let mut wrong = vec![
        refused("no tensor", NORMALIZE, &pb::NormalizeRequest::default(), Code::InvalidArgument),
        refused(
            "an axis that is not there",
            NORMALIZE,
            &pb::NormalizeRequest { axes: vec![7], ..norm(good()) },
            Code::InvalidArgument,
        ),
        refused("a byte too few", NORMALIZE, &norm(short), Code::InvalidArgument),
        refused("too many elements to count", NORMALIZE, &norm(overflow), Code::InvalidArgument),
        refused("a probability that is no number", DROPOUT, &nan, Code::InvalidArgument),
        refused("a norm that is not finite", CLIP, &nonfinite, Code::FailedPrecondition),
        unreadable,
        oversize,
    ];
    // If the metrics had a label for each path, clients could fill the server's memory.
    for number in 0..50 {
        let path = format!("/evenkeel.v1.TensorOpsService/Method{number}");
        wrong.push(refused("a method that does not exist", &path, &norm(good()), Code::Unimplemented));
    }
    wrong
}

fn normalize(kind: NormKind, dtype: DataType, bytes: usize) -> Request {
    let running = |seed| Some(tensor_of(DataType::Float32, &[8], seed));
    let with_running = matches!(kind, NormKind::Batch | NormKind::Instance);
    let message = pb::NormalizeRequest {
        kind: kind.into(),
        groups: if kind == NormKind::Group { 4 } else { 0 },
        training: with_running.then_some(true),
        return_statistics: true,
        running_mean: if with_running { running(1) } else { None },
        running_var: if with_running { running(2) } else { None },
        input: Some(tensor(dtype, bytes, 3)),
        ..Default::default()
    };
    request(format!("normalize {kind:?} {dtype:?} {bytes}"), NORMALIZE, &[&message])
}

fn normalize_backward(kind: NormKind, dtype: DataType, bytes: usize) -> Request {
    let message = pb::NormalizeBackwardRequest {
        kind: kind.into(),
        groups: if kind == NormKind::Group { 4 } else { 0 },
        input: Some(tensor(dtype, bytes, 3)),
        grad_output: Some(tensor(dtype, bytes, 4)),
        ..Default::default()
    };
    request(format!("normalize backward {kind:?} {dtype:?} {bytes}"), NORMALIZE_BACKWARD, &[&message])
}

fn dropout(kind: DropoutKind, dtype: DataType, bytes: usize) -> Request {
    let message = pb::DropoutRequest {
        p: Some(0.3),
        seed: 42,
        offset: 5,
        kind: kind.into(),
        return_mask: true,
        input: Some(tensor(dtype, bytes, 5)),
        ..Default::default()
    };
    request(format!("dropout {kind:?} {dtype:?} {bytes}"), DROPOUT, &[&message])
}

fn dropout_backward(kind: DropoutKind, dtype: DataType, bytes: usize) -> Request {
    let message = pb::DropoutBackwardRequest {
        p: Some(0.3),
        seed: 42,
        kind: kind.into(),
        grad_output: Some(tensor(dtype, bytes, 6)),
        ..Default::default()
    };
    request(format!("dropout backward {kind:?} {dtype:?} {bytes}"), DROPOUT_BACKWARD, &[&message])
}

fn clip(mode: ClipMode, order: f64, gradients: &[(DataType, usize)]) -> Request {
    let message = pb::ClipGradientsRequest {
        mode: mode.into(),
        threshold: Some(0.7),
        norm_type: Some(order),
        gradients: gradients.iter().zip(7..).map(|(&(dtype, bytes), seed)| tensor(dtype, bytes, seed)).collect(),
        ..Default::default()
    };
    request(format!("clip {mode:?} {order} {gradients:?}"), CLIP, &[&message])
}

/// MeasureGradients, in so many messages.
fn measure(order: f64, bytes: usize, messages: usize) -> Request {
    let messages: Vec<_> = (0..messages)
        .map(|index| pb::MeasureGradientsRequest {
            norm_type: Some(order),
            gradients: vec![tensor(DTYPES[index % DTYPES.len()], bytes / messages / 1024 * 1024 + 1024, index)],
            ..Default::default()
        })
        .collect();
    let name = format!("measure {order} {bytes}");
    request(name, MEASURE, &messages.iter().map(|message| message as &dyn Encode).collect::<Vec<_>>())
}

fn request(name: String, path: &str, messages: &[&dyn Encode]) -> Request {
    let messages = messages.iter().map(|message| message.framed()).collect();
    Request { name, path: path.to_owned(), messages, code: Code::Ok }
}

/// A tensor of shape [4, 8, n]; `bytes` must be a multiple of 256.
fn tensor(dtype: DataType, bytes: usize, seed: usize) -> pb::Tensor {
    tensor_of(dtype, &[4, 8, bytes / size(dtype) / 32], seed)
}

fn tensor_of(dtype: DataType, shape: &[usize], seed: usize) -> pb::Tensor {
    let len = shape.iter().product::<usize>();
    let mut data = Vec::with_capacity(len * size(dtype));
    for x in (0..len).map(|index| value(index + seed * 1_000_003).abs() + 0.125) {
        match dtype {
            DataType::Float64 => data.extend_from_slice(&f64::from(x).to_le_bytes()),
            // Numbers from 1/2 to 1, with some of the bits of `x`.
            DataType::Float16 => data.extend_from_slice(&((x.to_bits() >> 8) as u16 & 0x83ff | 0x3800).to_le_bytes()),
            DataType::Bfloat16 => data.extend_from_slice(&((x.to_bits() >> 16) as u16).to_le_bytes()),
            DataType::Float32 | DataType::Unspecified => data.extend_from_slice(&x.to_le_bytes()),
        }
    }
    pb::Tensor {
        dtype: dtype.into(),
        shape: shape.iter().map(|&dim| dim as i64).collect(),
        data: data.into(),
        ..Default::default()
    }
}

fn size(dtype: DataType) -> usize {
    match dtype {
        DataType::Float64 => 8,
        DataType::Float32 | DataType::Unspecified => 4,
        DataType::Float16 | DataType::Bfloat16 => 2,
    }
}

/// A message that can be sent.
trait Encode {
    fn framed(&self) -> Bytes;
}

impl<M: Message> Encode for M {
    fn framed(&self) -> Bytes {
        encoded(self)
    }
}
