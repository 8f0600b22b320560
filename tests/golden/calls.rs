//! From a case to the request it describes, and from the answer to its fields by name.

use std::collections::BTreeMap;

use bytes::Bytes;
use evenkeel_proto::v1::{self as pb, tensor_ops_service_client::TensorOpsServiceClient};
use safetensors::Dtype;
use serde::Deserialize;
use tonic::{Status, transport::Channel};

use crate::manifest::{Case, Double, OneOrMany, Reference};

pub(crate) type Client = TensorOpsServiceClient<Channel>;

/// The stored tensors by name.
pub(crate) type Stored = BTreeMap<String, Reference>;

/// The fields of an answer that were set.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) tensors: BTreeMap<String, pb::Tensor>,
    pub(crate) bytes: BTreeMap<String, Bytes>,
    pub(crate) numbers: BTreeMap<String, Vec<f64>>,
}

impl Answer {
    pub(crate) fn of_output(response: pb::NormalizeResponse) -> Self {
        let pb::NormalizeResponse { axes, mean, rstd, running_mean, running_var, output } = response;
        Self::default()
            .number("axes", axes.into_iter().map(f64::from))
            .tensor("mean", mean)
            .tensor("rstd", rstd)
            .tensor("running_mean", running_mean)
            .tensor("running_var", running_var)
            .tensor("output", output)
    }

    pub(crate) fn of_gradients(response: pb::NormalizeBackwardResponse) -> Self {
        let pb::NormalizeBackwardResponse { grad_weight, grad_bias, grad_input } = response;
        Self::default()
            .tensor("grad_weight", grad_weight)
            .tensor("grad_bias", grad_bias)
            .tensor("grad_input", grad_input)
    }

    fn tensor(mut self, field: &str, tensor: Option<pb::Tensor>) -> Self {
        self.tensors.extend(tensor.map(|tensor| (field.to_owned(), tensor)));
        self
    }

    fn number(mut self, field: &str, numbers: impl IntoIterator<Item = f64>) -> Self {
        self.numbers.insert(field.to_owned(), numbers.into_iter().collect());
        self
    }
}

/// The arguments of Normalize and NormalizeBackward.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
pub(crate) struct NormalizeArguments {
    kind: String,
    axes: Vec<i32>,
    groups: u32,
    eps: Option<f64>,
    channel_axis: Option<i32>,
    training: Option<bool>,
    momentum: Option<f64>,
    return_statistics: bool,
}

/// The arguments of Dropout and DropoutBackward.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DropoutArguments {
    p: f64,
    seed: u64,
    offset: u64,
    kind: Option<String>,
    scaling: Option<String>,
    return_mask: bool,
}

/// The arguments of ClipGradients.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ClipArguments {
    mode: String,
    threshold: Double,
    norm_type: Option<Double>,
    error_if_nonfinite: bool,
    total_norm: Option<Double>,
}

/// A remote call as the vectors describe it.
pub(crate) trait Call: Sized {
    /// Whether the call can be made of this case.
    fn covers(_: &Case<Self>, _: &Stored) -> bool {
        true
    }

    /// Whether the answer has this field, if the case expects it.
    fn expects(_: &str) -> bool {
        true
    }

    async fn call(case: &Case<Self>, stored: &Stored, client: &mut Client) -> Result<Answer, Status>;
}

/// Whether a case is of the backward pass, which has the same arguments as the forward pass.
pub(crate) fn is_backward<A>(case: &Case<A>) -> bool {
    case.tensors.contains_key("grad_output")
}

impl NormalizeArguments {
    /// The request of the forward pass.
    pub(crate) fn forward<A>(&self, case: &Case<A>, stored: &Stored) -> pb::NormalizeRequest {
        let Self { kind, axes, groups, eps, channel_axis, training, momentum, return_statistics } = self;
        let tensor = |field| one(case, stored, field);
        pb::NormalizeRequest {
            kind: pb::NormKind::from_str_name(kind).expect("a kind").into(),
            axes: axes.clone(),
            groups: *groups,
            eps: *eps,
            channel_axis: *channel_axis,
            training: *training,
            momentum: *momentum,
            return_statistics: *return_statistics,
            statistics: None,
            weight: tensor("weight"),
            bias: tensor("bias"),
            running_mean: tensor("running_mean"),
            running_var: tensor("running_var"),
            input: tensor("input"),
        }
    }

    /// The request of the backward pass.
    pub(crate) fn backward<A>(&self, case: &Case<A>, stored: &Stored) -> pb::NormalizeBackwardRequest {
        let Self { kind, axes, groups, eps, channel_axis, training, momentum, return_statistics } = self;
        let tensor = |field| one(case, stored, field);
        pb::NormalizeBackwardRequest {
            kind: pb::NormKind::from_str_name(kind).expect("a kind").into(),
            axes: axes.clone(),
            groups: *groups,
            eps: *eps,
            channel_axis: *channel_axis,
            training: *training,
            momentum: *momentum,
            return_statistics: *return_statistics,
            statistics: None,
            weight: tensor("weight"),
            bias: tensor("bias"),
            running_mean: tensor("running_mean"),
            running_var: tensor("running_var"),
            input: tensor("input"),
            grad_output: tensor("grad_output"),
        }
    }
}

impl Call for NormalizeArguments {
    async fn call(case: &Case<Self>, stored: &Stored, client: &mut Client) -> Result<Answer, Status> {
        if is_backward(case) {
            let request = case.arguments.backward(case, stored);
            return Ok(Answer::of_gradients(client.normalize_backward(request).await?.into_inner()));
        }
        let request = case.arguments.forward(case, stored);
        Ok(Answer::of_output(client.normalize(request).await?.into_inner()))
    }
}

impl Call for DropoutArguments {
    async fn call(case: &Case<Self>, stored: &Stored, client: &mut Client) -> Result<Answer, Status> {
        let &Self { p, seed, offset, ref kind, ref scaling, return_mask } = &case.arguments;
        let kind = kind.as_ref().map_or(0, |kind| pb::DropoutKind::from_str_name(kind).expect("a kind").into());
        let scaling =
            scaling.as_ref().map_or(0, |name| pb::DropoutScaling::from_str_name(name).expect("a scaling").into());
        let (p, channel_axis) = (Some(p), None);
        if is_backward(case) {
            let grad_output = one(case, stored, "grad_output");
            let request =
                pb::DropoutBackwardRequest { p, seed, offset, kind, scaling, return_mask, channel_axis, grad_output };
            let pb::DropoutBackwardResponse { grad_input } = client.dropout_backward(request).await?.into_inner();
            return Ok(Answer::default().tensor("grad_input", grad_input));
        }
        let input = one(case, stored, "input");
        let request = pb::DropoutRequest { p, seed, offset, kind, scaling, return_mask, channel_axis, input };
        let pb::DropoutResponse { kept, mask, output } = client.dropout(request).await?.into_inner();
        let mut answer = Answer::default().number("kept", [kept as f64]).tensor("output", output);
        answer.bytes.insert("mask".into(), mask);
        Ok(answer)
    }
}

impl Call for ClipArguments {
    async fn call(case: &Case<Self>, stored: &Stored, client: &mut Client) -> Result<Answer, Status> {
        let Self { mode, threshold, norm_type, error_if_nonfinite, total_norm } = &case.arguments;
        let request = pb::ClipGradientsRequest {
            mode: pb::ClipMode::from_str_name(mode).expect("a mode").into(),
            threshold: Some(threshold.0),
            norm_type: norm_type.map(|norm_type| norm_type.0),
            error_if_nonfinite: *error_if_nonfinite,
            total_norm: total_norm.map(|norm| norm.0),
            epsilon: None,
            not_above: false,
            gradients: many(case, stored, "gradients"),
        };
        let pb::ClipGradientsResponse { total_norm, scale, clipped_elements, tensor_norms, gradients } =
            client.clip_gradients(request).await?.into_inner();
        let answer = Answer::default()
            .number("total_norm", [total_norm])
            .number("scale", [scale])
            .number("clipped_elements", [clipped_elements as f64])
            .number("tensor_norms", tensor_norms);
        Ok(gradients
            .into_iter()
            .enumerate()
            .fold(answer, |answer, (index, gradient)| answer.tensor(&format!("gradients[{index}]"), Some(gradient))))
    }
}

fn one<A>(case: &Case<A>, stored: &Stored, field: &str) -> Option<pb::Tensor> {
    match case.tensors.get(field)? {
        OneOrMany::One(name) => Some(tensor(field, &stored[name])),
        OneOrMany::Many(_) => panic!("{}: {field} is one tensor", case.name),
    }
}

fn many<A>(case: &Case<A>, stored: &Stored, field: &str) -> Vec<pb::Tensor> {
    match case.tensors.get(field) {
        Some(OneOrMany::Many(names)) => {
            names.iter().enumerate().map(|(index, name)| tensor(&format!("{field}[{index}]"), &stored[name])).collect()
        }
        Some(OneOrMany::One(_)) | None => panic!("{}: {field} is a list", case.name),
    }
}

/// The wire form of a stored tensor, named after its field.
fn tensor(name: &str, stored: &Reference) -> pb::Tensor {
    pb::Tensor {
        name: name.to_owned(),
        dtype: data_type(stored.dtype).expect("requests have float tensors").into(),
        shape: stored.shape.clone(),
        float_data: Vec::new(),
        data: Bytes::copy_from_slice(&stored.data),
    }
}

/// The wire's name of a stored dtype; `None` if the wire has no such tensors.
pub(crate) fn data_type(dtype: Dtype) -> Option<pb::DataType> {
    [
        (Dtype::F32, pb::DataType::Float32),
        (Dtype::F64, pb::DataType::Float64),
        (Dtype::F16, pb::DataType::Float16),
        (Dtype::BF16, pb::DataType::Bfloat16),
    ]
    .into_iter()
    .find_map(|(stored, wire)| (stored == dtype).then_some(wire))
}
