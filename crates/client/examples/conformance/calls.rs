//! The calls, each by the client's own builder.

use evenkeel_client::{
    Client, DropoutKind, DropoutScaling, Element, NormKind, StatisticsPartial, Tensor,
    ndarray::{ArrayD, IxDyn},
};
use serde_json::{Value, json};

use crate::{
    Answer, Failure,
    values::{bytes, gradients, integer, lay, layout, number, of_bytes, of_number, of_tensor, tensor},
};

/// Runs a function that is generic over the element type on an array in this argument.
macro_rules! with_array {
    ($arguments:expr, $name:literal, |$array:ident| $call:expr) => {{
        let given = tensor($arguments, $name)?;
        match lay(given, layout($arguments, $name).as_deref()) {
            Tensor::F32($array) => $call,
            Tensor::F64($array) => $call,
            Tensor::F16($array) => $call,
            Tensor::Bf16($array) => $call,
        }
    }};
}

/// Sets the options of a builder that the request has.
macro_rules! set {
    ($builder:ident, $arguments:expr, $($name:ident: $read:expr),*) => {
        $(if let Some(value) = $arguments.get(stringify!($name)).filter(|value| !value.is_null()) {
            $builder = $builder.$name($read(value).ok_or_else(|| Failure::Argument(stringify!($name).to_owned()))?);
        })*
    };
}

pub(crate) async fn answer(client: &Client, op: &str, arguments: &Value, digest: bool) -> Answer {
    let give = |tensor: Tensor| of_tensor(tensor, digest);
    match op {
        "normalize" => with_array!(arguments, "input", |input| normalize(client, input, arguments, &give).await),
        "normalize_backward" => {
            with_array!(arguments, "input", |input| normalize_backward(client, input, arguments, &give).await)
        }
        "dropout" => with_array!(arguments, "input", |input| dropout(client, input, arguments, &give).await),
        "dropout_backward" => {
            with_array!(arguments, "grad_output", |grad| dropout_backward(client, grad, arguments, &give).await)
        }
        "clip_gradients" => clip(client, arguments, &give).await,
        "measure_gradients" => {
            let mut call = client.measure_gradients(gradients(arguments)?);
            set!(call, arguments, norm_type: float);
            let partial = call.send().await?;
            Ok(json!({"partial": of_bytes(partial.encode()), "total_norm": of_number(partial.total_norm())}))
        }
        "measure_statistics" => {
            with_array!(arguments, "input", |input| measure_statistics(client, input, arguments).await)
        }
        "server_info" => {
            let info = client.server_info().await?;
            Ok(json!({
                "version": info.version,
                "max_message_bytes": info.max_message_bytes.to_string(),
                "max_stream_chunk_bytes": info.max_stream_chunk_bytes.to_string(),
                "warned": !info.is_compatible(),
            }))
        }
        other => Err(Failure::Unsupported(format!("there is no {other}"))),
    }
}

fn norm_kind(arguments: &Value) -> Result<NormKind, Failure> {
    match arguments["kind"].as_str() {
        Some("batch") => Ok(NormKind::Batch),
        Some("layer") => Ok(NormKind::Layer),
        Some("rms") => Ok(NormKind::Rms),
        Some("instance") => Ok(NormKind::Instance),
        Some("group") => Ok(NormKind::Group),
        Some("l2") => Ok(NormKind::L2),
        _ => Err(Failure::Argument("kind".to_owned())),
    }
}

fn axes(value: &Value) -> Option<Vec<i32>> {
    value.as_array()?.iter().map(int).collect()
}

fn int(value: &Value) -> Option<i32> {
    value.as_i64()?.try_into().ok()
}

fn uint(value: &Value) -> Option<u32> {
    value.as_u64()?.try_into().ok()
}

fn flag(value: &Value) -> Option<bool> {
    value.as_bool()
}

fn float(value: &Value) -> Option<f64> {
    Some(number(value))
}

fn has(arguments: &Value, name: &str) -> bool {
    arguments.get(name).is_some_and(|value| !value.is_null())
}

/// The options that both directions of a normalization have.
macro_rules! set_normalization {
    ($call:ident, $arguments:expr) => {
        set!($call, $arguments, axes: axes, groups: uint, eps: float, channel_axis: int, training: flag);
        if has($arguments, "weight") {
            $call = $call.weight(tensor($arguments, "weight")?);
        }
        if has($arguments, "bias") {
            $call = $call.bias(tensor($arguments, "bias")?);
        }
        if has($arguments, "running_mean") || has($arguments, "running_var") {
            if !(has($arguments, "running_mean") && has($arguments, "running_var")) {
                return Err(Failure::Unsupported("running statistics are given together".to_owned()));
            }
            $call = $call.running_statistics(tensor($arguments, "running_mean")?, tensor($arguments, "running_var")?);
        }
        if has($arguments, "statistics") {
            $call = $call.statistics(&partial(&$arguments["statistics"])?);
        }
    };
}

fn partial(value: &Value) -> Result<StatisticsPartial, Failure> {
    StatisticsPartial::decode(&bytes(value)).map_err(|_| Failure::Argument("statistics".to_owned()))
}

type Give<'a> = &'a dyn Fn(Tensor) -> Value;

fn add(answer: &mut Value, name: &str, tensor: Option<Tensor>, give: Give<'_>) {
    if let Some(tensor) = tensor {
        answer[name] = give(tensor);
    }
}

async fn normalize<A: Element>(client: &Client, input: ArrayD<A>, arguments: &Value, give: Give<'_>) -> Answer {
    let mut call = client.normalize(input).kind(norm_kind(arguments)?);
    set_normalization!(call, arguments);
    set!(call, arguments, momentum: float, return_statistics: flag);
    let done = call.send().await?;
    let mut answer = json!({"output": give(done.output.into()), "axes": done.axes});
    add(&mut answer, "mean", done.mean.map(Tensor::from), give);
    add(&mut answer, "rstd", done.rstd.map(Tensor::from), give);
    add(&mut answer, "running_mean", done.running_mean, give);
    add(&mut answer, "running_var", done.running_var, give);
    Ok(answer)
}

/// The array of the input's type in another argument.
fn beside<A: Element>(arguments: &Value, name: &str) -> Result<ArrayD<A>, Failure> {
    let given = tensor(arguments, name)?;
    let of_other_type = || Failure::Unsupported(format!("{name} has the type of the input by the compiler"));
    ArrayD::<A>::try_from(lay(given, layout(arguments, name).as_deref())).map_err(|_| of_other_type())
}

async fn normalize_backward<A: Element>(
    client: &Client,
    input: ArrayD<A>,
    arguments: &Value,
    give: Give<'_>,
) -> Answer {
    let grad_output = beside::<A>(arguments, "grad_output")?;
    let mut call = client.normalize_backward(input, grad_output).kind(norm_kind(arguments)?);
    set_normalization!(call, arguments);
    let done = call.send().await?;
    let mut answer = json!({"grad_input": give(done.grad_input.into())});
    add(&mut answer, "grad_weight", done.grad_weight, give);
    add(&mut answer, "grad_bias", done.grad_bias, give);
    Ok(answer)
}

fn dropout_kind(value: &Value) -> Result<DropoutKind, Failure> {
    match value.as_str() {
        None | Some("element") => Ok(DropoutKind::Element),
        Some("channel") => Ok(DropoutKind::Channel),
        Some("alpha") => Ok(DropoutKind::Alpha),
        Some("feature_alpha") => Ok(DropoutKind::FeatureAlpha),
        Some(_) => Err(Failure::Argument("kind".to_owned())),
    }
}

fn scaling(value: &Value) -> Result<DropoutScaling, Failure> {
    match value.as_str() {
        None | Some("inverted") => Ok(DropoutScaling::Inverted),
        Some("none") => Ok(DropoutScaling::None),
        Some(_) => Err(Failure::Argument("scaling".to_owned())),
    }
}

/// The options that both directions of dropout have.
macro_rules! set_dropout {
    ($call:ident, $arguments:expr) => {
        $call = $call
            .offset(integer($arguments, "offset")?)
            .kind(dropout_kind(&$arguments["kind"])?)
            .scaling(scaling(&$arguments["scaling"])?);
        set!($call, $arguments, channel_axis: int);
    };
}

async fn dropout<A: Element>(client: &Client, input: ArrayD<A>, arguments: &Value, give: Give<'_>) -> Answer {
    let mut call = client.dropout(input, number(&arguments["p"]), integer(arguments, "seed")?);
    set_dropout!(call, arguments);
    set!(call, arguments, return_mask: flag);
    let done = call.send().await?;
    let mut answer = json!({"output": give(done.output.into()), "kept": done.kept.to_string()});
    if let Some(mask) = done.mask {
        answer["mask"] = of_bytes(packed(&mask));
    }
    Ok(answer)
}

/// The mask as the server has it: a bit for each draw, the least significant first.
fn packed(mask: &ArrayD<bool>) -> Vec<u8> {
    let mut bytes = vec![0; mask.len().div_ceil(8)];
    for (draw, _) in mask.iter().enumerate().filter(|(_, kept)| **kept) {
        bytes[draw / 8] |= 1 << (draw % 8);
    }
    bytes
}

async fn dropout_backward<A: Element>(client: &Client, grad: ArrayD<A>, arguments: &Value, give: Give<'_>) -> Answer {
    let mut call = client.dropout_backward(grad, number(&arguments["p"]), integer(arguments, "seed")?);
    set_dropout!(call, arguments);
    Ok(json!({"grad_input": give(call.send().await?.into())}))
}

async fn clip(client: &Client, arguments: &Value, give: Give<'_>) -> Answer {
    let (input, threshold) = (client.clip_gradients(gradients(arguments)?), number(&arguments["threshold"]));
    let mut call = match arguments["mode"].as_str() {
        Some("norm") => input.by_norm(threshold),
        Some("value") => input.by_value(threshold),
        Some("norm_per_tensor") => input.by_norm_per_tensor(threshold),
        _ => return Err(Failure::Argument("mode".to_owned())),
    };
    set!(call, arguments, norm_type: float, error_if_nonfinite: flag, total_norm: float, epsilon: float, not_above: flag);
    let done = call.send().await?;
    let gradients = done.gradients.into_iter().map(|gradient| {
        let mut clipped = give(gradient.tensor);
        clipped["name"] = json!(gradient.name);
        clipped
    });
    Ok(json!({
        "gradients": gradients.collect::<Vec<_>>(),
        "total_norm": of_number(done.total_norm),
        "scale": of_number(done.scale),
        "clipped_elements": done.clipped_elements.to_string(),
        "tensor_norms": done.tensor_norms.into_iter().map(of_number).collect::<Vec<_>>(),
    }))
}

async fn measure_statistics<A: Element>(client: &Client, input: ArrayD<A>, arguments: &Value) -> Answer {
    let mut call = client.measure_statistics(input).kind(norm_kind(arguments)?);
    set!(call, arguments, axes: axes, groups: uint, channel_axis: int);
    if has(arguments, "grad_output") {
        call = call.grad_output::<A, IxDyn>(beside::<A>(arguments, "grad_output")?);
    }
    Ok(json!({"partial": of_bytes(call.send().await?.encode())}))
}
