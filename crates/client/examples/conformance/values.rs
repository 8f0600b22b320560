//! Values of the cases as values of this client, and the reverse.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use evenkeel_client::{DType, Error, Gradient, Tensor};
use serde_json::{Value, json};

use crate::Failure;

pub(crate) fn number(value: &Value) -> f64 {
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).expect("a number")
}

pub(crate) fn of_number(number: f64) -> Value {
    if number.is_finite() {
        json!(number)
    } else if number.is_nan() {
        json!("NaN")
    } else if number > 0.0 {
        json!("Infinity")
    } else {
        json!("-Infinity")
    }
}

/// An integer of 64 bits; the field's name if it is none.
pub(crate) fn integer(arguments: &Value, name: &str) -> Result<u64, Failure> {
    let Some(value) = arguments.get(name).filter(|value| !value.is_null()) else { return Ok(0) };
    let digits = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    digits.parse().map_err(|_| Failure::Argument(name.to_owned()))
}

pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().expect("base64")).expect("base64")
}

pub(crate) fn of_bytes(bytes: impl AsRef<[u8]>) -> Value {
    json!(STANDARD.encode(bytes))
}

pub(crate) fn dtype(value: &Value) -> DType {
    let all = [DType::F32, DType::F64, DType::F16, DType::Bf16];
    all.into_iter().find(|dtype| value == dtype.name()).expect("a dtype")
}

/// The tensor in this argument.
pub(crate) fn tensor(arguments: &Value, name: &str) -> Result<Tensor, Failure> {
    let value = &arguments[name];
    let wrong = || Failure::Argument(format!("{name}.shape"));
    let dims = value["shape"].as_array().into_iter().flatten();
    let shape: Vec<usize> =
        dims.map(|dim| dim.as_u64().map(|dim| dim as usize)).collect::<Option<_>>().ok_or_else(wrong)?;
    let data = bytes(&value["data"]).repeat(value["repeat"].as_u64().unwrap_or(1) as usize);
    let layout = value["layout"].as_str();
    if layout == Some("big-endian") {
        return Err(Failure::Unsupported("arrays of ndarray have the byte order of the machine".to_owned()));
    }
    Tensor::from_le_bytes(dtype(&value["dtype"]), &shape, &data).map_err(|_| wrong())
}

/// The memory that the case asks for.
pub(crate) fn layout(arguments: &Value, name: &str) -> Option<String> {
    arguments[name]["layout"].as_str().map(str::to_owned)
}

pub(crate) fn gradients(arguments: &Value) -> Result<Vec<Gradient>, Failure> {
    let list = arguments["gradients"].as_array().into_iter().flatten();
    list.map(|value| {
        let name = value["name"].as_str().unwrap_or_default().to_owned();
        let tensor = tensor(&json!({"input": value}), "input")?;
        Ok(Gradient { name, tensor: lay(tensor, value["layout"].as_str()) })
    })
    .collect()
}

/// The same elements in another memory.
pub(crate) fn lay(tensor: Tensor, layout: Option<&str>) -> Tensor {
    match tensor {
        Tensor::F32(array) => Tensor::F32(laid(array, layout)),
        Tensor::F64(array) => Tensor::F64(laid(array, layout)),
        Tensor::F16(array) => Tensor::F16(laid(array, layout)),
        Tensor::Bf16(array) => Tensor::Bf16(laid(array, layout)),
    }
}

fn laid<A: Copy>(array: ndarray::ArrayD<A>, layout: Option<&str>) -> ndarray::ArrayD<A> {
    match layout {
        Some("transposed") => array.t().as_standard_layout().into_owned().reversed_axes(),
        Some("sliced") => {
            let shape = array.raw_dim();
            let twice: Vec<A> = array.iter().flat_map(|&element| [element; 2]).collect();
            let twice = ndarray::Array1::from_vec(twice).slice_move(ndarray::s![..;2]);
            twice.into_shape_clone(shape).expect("it has as many elements")
        }
        _ => array,
    }
}

pub(crate) fn of_tensor(tensor: Tensor, digest: bool) -> Value {
    let (dtype, shape) = (tensor.dtype().name(), tensor.shape().to_vec());
    let data = tensor.into_le_bytes();
    if digest {
        json!({"dtype": dtype, "shape": shape, "sha256": hex(&data)})
    } else {
        json!({"dtype": dtype, "shape": shape, "data": of_bytes(data)})
    }
}

fn hex(data: &[u8]) -> String {
    ring::digest::digest(&ring::digest::SHA256, data).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An error of the protocol.
pub(crate) fn error(code: &str, fields: Vec<String>) -> Value {
    json!({"code": code, "reason": null, "fields": fields, "retry_after_ms": null})
}

/// An error of the client, as the protocol has it.
pub(crate) fn describe(failure: &Error) -> Value {
    let with = |code: &str, reason: &str| {
        let mut described = error(code, vec![]);
        described["reason"] = json!(reason);
        described
    };
    match failure {
        Error::InvalidArgument { violations, .. } => {
            error("INVALID_ARGUMENT", violations.iter().map(|violation| violation.field.clone()).collect())
        }
        Error::NonFiniteNorm { total_norm, elements, .. } => {
            let mut described = with("FAILED_PRECONDITION", "NONFINITE_NORM");
            let gradients = elements.first.iter().map(|(index, name)| (index.to_string(), json!(name)));
            described["norm"] = json!({
                "total_norm": of_number(*total_norm),
                "nan_elements": elements.nan.to_string(),
                "infinite_elements": elements.infinite.to_string(),
                "nonfinite_gradients": elements.gradients.to_string(),
                "gradients": gradients.collect::<serde_json::Map<_, _>>(),
            });
            described
        }
        Error::MetadataTooLarge { .. } => with("RESOURCE_EXHAUSTED", "METADATA_TOO_LARGE"),
        Error::TooLarge { .. } => with("RESOURCE_EXHAUSTED", "MESSAGE_TOO_LARGE"),
        Error::NeedsTwoPasses { .. } => with("RESOURCE_EXHAUSTED", "NEEDS_TWO_PASSES"),
        Error::Busy { retry_after, .. } => {
            let mut described = with("RESOURCE_EXHAUSTED", "OVERLOADED");
            described["retry_after_ms"] = json!(retry_after.map(|delay| delay.as_millis() as u64));
            described
        }
        Error::DeadlineExceeded { .. } => error("DEADLINE_EXCEEDED", vec![]),
        Error::Unavailable { .. } | Error::Connect { .. } => error("UNAVAILABLE", vec![]),
        Error::Protocol { .. } => error("INTERNAL", vec![]),
        Error::Status(status) => error(&name_of(status.code()), vec![]),
        Error::Setting { .. } | Error::Read(_) | Error::Write(_) => error("UNKNOWN", vec![]),
        other => panic!("an error that this adapter does not know: {other}"),
    }
}

/// gRPC's name of a code: `NOT_FOUND` for `NotFound`.
fn name_of(code: tonic::Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}
