//! Starts servers, makes tensors, and takes statuses apart.

use bytes::Bytes;
use evenkeel::{config::ServerConfig, server::Running};
use evenkeel_proto::v1::{self as pb, tensor_ops_service_client::TensorOpsServiceClient};
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};
use tonic_types::{ErrorInfo, StatusExt as _};

/// The generated client.
pub(crate) type Client = TensorOpsServiceClient<Channel>;

/// A server with the default settings, and a client of it.
pub(crate) async fn start() -> (Running, Client) {
    start_with(ServerConfig::on_free_port()).await
}

/// A server, and a client of it that takes answers of any size.
pub(crate) async fn start_with(config: ServerConfig) -> (Running, Client) {
    let server = Running::start(config).await.expect("the server starts");
    let client = Client::new(connect(&server).await).max_decoding_message_size(usize::MAX);
    (server, client)
}

/// A connection of its own.
pub(crate) async fn connect(server: &Running) -> Channel {
    Endpoint::from_shared(server.url()).expect("the URL is one").connect().await.expect("the server accepts")
}

/// Every kind of normalization that the contract has.
pub(crate) fn norm_kinds() -> impl Iterator<Item = pb::NormKind> {
    (1..).map_while(|value| pb::NormKind::try_from(value).ok())
}

/// A float32 tensor in `data`.
pub(crate) fn f32s(shape: &[i64], elements: &[f32]) -> pb::Tensor {
    tensor(pb::DataType::Float32, shape, elements.iter().flat_map(|x| x.to_le_bytes()).collect())
}

/// A tensor of any dtype in `data`.
pub(crate) fn tensor(dtype: pb::DataType, shape: &[i64], data: Vec<u8>) -> pb::Tensor {
    pb::Tensor {
        name: String::new(),
        dtype: dtype.into(),
        shape: shape.to_vec(),
        float_data: Vec::new(),
        data: Bytes::from(data),
    }
}

/// The elements of a float32 tensor in `data`.
pub(crate) fn elements(tensor: Option<&pb::Tensor>) -> Vec<f32> {
    let tensor = tensor.expect("the answer has this tensor");
    assert_eq!(tensor.dtype(), pb::DataType::Float32);
    let (elements, rest) = tensor.data.as_chunks();
    assert!(rest.is_empty());
    elements.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

/// Bits, which tell -0.0 from 0.0 and one NaN from another.
pub(crate) fn bits(elements: &[f32]) -> Vec<u32> {
    elements.iter().map(|x| x.to_bits()).collect()
}

/// A Normalize request that is right, for a test to spoil.
pub(crate) fn normalize(kind: pb::NormKind, input: pb::Tensor) -> pb::NormalizeRequest {
    pb::NormalizeRequest { kind: kind.into(), input: Some(input), ..Default::default() }
}

/// A ClipGradients request that is right, for a test to spoil.
pub(crate) fn clip(mode: pb::ClipMode, threshold: f64, gradients: Vec<pb::Tensor>) -> pb::ClipGradientsRequest {
    pb::ClipGradientsRequest { mode: mode.into(), threshold: Some(threshold), gradients, ..Default::default() }
}

/// A Dropout request that is right, for a test to spoil.
pub(crate) fn dropout(p: f64, input: pb::Tensor) -> pb::DropoutRequest {
    pb::DropoutRequest { p: Some(p), seed: 42, input: Some(input), ..Default::default() }
}

/// The one field violation of an INVALID_ARGUMENT: the field's path and what is wrong with it.
#[track_caller]
pub(crate) fn violation<T>(answer: Result<T, Status>) -> (String, String) {
    let status = refusal(answer, Code::InvalidArgument);
    let details = status.get_error_details();
    let violations = &details.bad_request().expect("the status has a BadRequest").field_violations;
    let [violation] = violations.as_slice() else { panic!("not one violation: {violations:?}") };
    assert_eq!(status.message(), format!("{}: {}", violation.field, violation.description));
    (violation.field.clone(), violation.description.clone())
}

/// All field violations of an INVALID_ARGUMENT, as "FIELD: REASON".
#[track_caller]
pub(crate) fn violations<T>(answer: Result<T, Status>) -> Vec<String> {
    let details = refusal(answer, Code::InvalidArgument).get_error_details();
    let violations = &details.bad_request().expect("the status has a BadRequest").field_violations;
    violations.iter().map(|violation| format!("{}: {}", violation.field, violation.description)).collect()
}

/// The fields of all field violations.
#[track_caller]
pub(crate) fn refused_fields<T>(answer: Result<T, Status>) -> Vec<String> {
    let field = |violation: String| violation.split(": ").next().unwrap_or_default().to_owned();
    violations(answer).into_iter().map(field).collect()
}

/// The status of a call that must fail with `code`, and within the limit on its size.
#[track_caller]
pub(crate) fn refusal<T>(answer: Result<T, Status>, code: Code) -> Status {
    let Err(status) = answer else { panic!("the call must fail with {code:?}") };
    assert_eq!(status.code(), code, "{status:?}");
    assert!(status.message().len() + status.details().len() < 4096);
    status
}

/// The ErrorInfo of a status. RESOURCE_EXHAUSTED, whichever way it came, also tells clients that retry by a policy when to
/// do so, or never to.
#[track_caller]
pub(crate) fn error_info(status: &Status) -> ErrorInfo {
    let details = status.get_error_details();
    let info = details.error_info().cloned().expect("the status has an ErrorInfo");
    assert_eq!(info.domain, "evenkeel");
    let pushback = status.metadata().get("grpc-retry-pushback-ms").map(|value| value.to_str().expect("it is text"));
    match info.reason.as_str() {
        "OVERLOADED" => {
            let delay = details.retry_info().and_then(|info| info.retry_delay).expect("it has a RetryInfo");
            assert_eq!(pushback, Some(delay.as_millis().to_string().as_str()));
        }
        "MESSAGE_TOO_LARGE" | "METADATA_TOO_LARGE" => assert_eq!(pushback, Some("-1")),
        _ => assert_eq!(pushback, None),
    }
    info
}
