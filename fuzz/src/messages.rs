//! Request messages, most of them valid.

use arbitrary::{Result, Unstructured};
use evenkeel_kernels::DType;
use evenkeel_proto::v1 as pb;
use prost::Message as _;

use crate::tensors::{dtype, message, shape};

/// The methods that compute. Those that take a stream get a stream of one message.
pub const METHODS: [&str; 7] = [
    "Normalize",
    "NormalizeBackward",
    "Dropout",
    "DropoutBackward",
    "ClipGradients",
    "MeasureGradients",
    "MeasureStatistics",
];

/// A method and a message for it.
pub fn call(u: &mut Unstructured<'_>) -> Result<(&'static str, Vec<u8>)> {
    let method = *u.choose(&METHODS)?;
    let message = match method {
        "Normalize" => normalize(u)?.encode_to_vec(),
        "NormalizeBackward" => backward(u)?.encode_to_vec(),
        "Dropout" => dropout(u)?.encode_to_vec(),
        "DropoutBackward" => {
            let pb::DropoutRequest { p, seed, offset, kind, scaling, return_mask, channel_axis, input } = dropout(u)?;
            pb::DropoutBackwardRequest { p, seed, offset, kind, scaling, return_mask, channel_axis, grad_output: input }
                .encode_to_vec()
        }
        "ClipGradients" => pb::ClipGradientsRequest {
            mode: u.int_in_range(0..=4)?,
            threshold: mostly(u, number)?,
            norm_type: maybe(u, number)?,
            error_if_nonfinite: u.arbitrary()?,
            total_norm: maybe(u, number)?,
            epsilon: maybe(u, number)?,
            not_above: u.ratio(1, 4)?,
            gradients: gradients(u)?,
        }
        .encode_to_vec(),
        "MeasureStatistics" => measured(u)?.encode_to_vec(),
        _ => {
            pb::MeasureGradientsRequest { norm_type: maybe(u, number)?, gradients: gradients(u)?, ..Default::default() }
                .encode_to_vec()
        }
    };
    Ok((method, message))
}

fn normalize(u: &mut Unstructured<'_>) -> Result<pb::NormalizeRequest> {
    let (kind, dtype, shape) = (u.int_in_range(0..=6)?, dtype(u)?, shape(u)?);
    let affine = |u: &mut Unstructured<'_>| affine(u, kind, &shape);
    Ok(pb::NormalizeRequest {
        kind,
        axes: if u.ratio(1, 4)? { vec![u.int_in_range(-5..=5)?; u.int_in_range(0..=2)?] } else { vec![] },
        groups: if kind == 5 { u.int_in_range(0..=4)? } else { 0 },
        eps: maybe(u, number)?,
        channel_axis: if u.ratio(1, 8)? { Some(u.int_in_range(-5..=5)?) } else { None },
        training: if u.ratio(1, 4)? { Some(u.arbitrary()?) } else { None },
        momentum: maybe(u, number)?,
        return_statistics: u.arbitrary()?,
        statistics: maybe(u, statistics)?,
        weight: maybe(u, affine)?,
        bias: maybe(u, affine)?,
        running_mean: maybe(u, affine)?,
        running_var: maybe(u, affine)?,
        input: if u.ratio(31, 32)? { Some(message(u, dtype, &shape)?) } else { None },
    })
}

/// A part, with its elements in the header, in `data`, or left out, and partials that other servers might have measured.
fn measured(u: &mut Unstructured<'_>) -> Result<pb::MeasureStatisticsRequest> {
    use pb::measure_statistics_request::Part;
    let take = |input: &mut Option<pb::Tensor>, is_beside: bool| {
        input.as_mut().filter(|_| is_beside).map(|input| std::mem::take(&mut input.data)).unwrap_or_default()
    };
    let (is_beside, is_cut) = (u.ratio(1, 2)?, u.ratio(1, 4)?);
    let (part, mut data, grad_data) = if u.ratio(1, 2)? {
        let mut header = normalize(u)?;
        let data = take(&mut header.input, is_beside);
        (Part::Header(header), data, Default::default())
    } else {
        let mut header = backward(u)?;
        let data = take(&mut header.input, is_beside);
        let grad_data = take(&mut header.grad_output, is_beside);
        (Part::BackwardHeader(header), data, grad_data)
    };
    if is_cut {
        data.truncate(u.int_in_range(0..=data.len())?);
    }
    let partials = (0..u.int_in_range(0..=2)?).map(|_| statistics(u)).collect::<Result<_>>()?;
    Ok(pb::MeasureStatisticsRequest {
        part: if u.ratio(15, 16)? { Some(part) } else { None },
        partials,
        data,
        grad_data,
    })
}

/// Statistics that are valid or nearly so.
fn statistics(u: &mut Unstructured<'_>) -> Result<pb::StatisticsPartial> {
    let shape = shape(u)?;
    let sets = u.int_in_range(0..=4)?;
    let elements = u.int_in_range(0..=40)?;
    let sets = (0..sets).map(|_| set(u, elements)).collect::<Result<_>>()?;
    let shape = shape.into_iter().map(|len| len as i64).collect();
    Ok(pb::StatisticsPartial { kind: u.int_in_range(0..=6)?, shape, sets })
}

fn set(u: &mut Unstructured<'_>, elements: u64) -> Result<pb::SetStatistics> {
    let has_gradients = u.ratio(1, 3)?;
    Ok(pb::SetStatistics {
        elements,
        nan_elements: if u.ratio(1, 8)? { u.arbitrary()? } else { 0 },
        infinite_elements: if u.ratio(1, 8)? { u.arbitrary()? } else { 0 },
        negative_infinite_elements: if u.ratio(1, 8)? { u.arbitrary()? } else { 0 },
        nonfinite_gradients: if u.ratio(1, 8)? { u.arbitrary()? } else { 0 },
        sum: maybe(u, sum)?,
        sum_of_squares: mostly(u, sum)?,
        sum_of_gradients: if has_gradients { mostly(u, sum)? } else { None },
        sum_of_products: if has_gradients { mostly(u, sum)? } else { None },
    })
}

fn sum(u: &mut Unstructured<'_>) -> Result<pb::ExactSum> {
    let magnitude: Vec<u8> = u.arbitrary()?;
    Ok(pb::ExactSum { negative: u.arbitrary()?, low_zero_bytes: u.int_in_range(0..=540)?, magnitude: magnitude.into() })
}

/// The weight that the kind expects by default.
fn affine(u: &mut Unstructured<'_>, kind: i32, shape: &[usize]) -> Result<pb::Tensor> {
    let expected = match kind {
        2 | 3 if shape.len() > 3 => shape[1..].to_vec(),
        2 | 3 => shape.last().copied().into_iter().collect(),
        _ => shape.get(1).copied().into_iter().collect(),
    };
    let dtype = if u.ratio(1, 2)? { DType::F32 } else { dtype(u)? };
    message(u, dtype, &expected)
}

fn backward(u: &mut Unstructured<'_>) -> Result<pb::NormalizeBackwardRequest> {
    let pb::NormalizeRequest {
        kind,
        axes,
        groups,
        eps,
        channel_axis,
        training,
        statistics,
        weight,
        bias,
        running_mean,
        running_var,
        input,
        momentum: _,
        return_statistics: _,
    } = normalize(u)?;
    let grad_output = if u.ratio(15, 16)? { input.clone() } else { Some(any(u)?) };
    Ok(pb::NormalizeBackwardRequest {
        kind,
        axes,
        groups,
        eps,
        channel_axis,
        training,
        statistics,
        weight,
        bias,
        running_mean,
        running_var,
        input,
        grad_output,
        ..Default::default() // fields that NormalizeBackward refuses
    })
}

fn dropout(u: &mut Unstructured<'_>) -> Result<pb::DropoutRequest> {
    Ok(pb::DropoutRequest {
        p: mostly(u, number)?,
        seed: u.arbitrary()?,
        offset: if u.ratio(1, 4)? { u.arbitrary()? } else { u.int_in_range(0..=9)? },
        kind: u.int_in_range(0..=5)?,
        scaling: u.int_in_range(0..=3)?,
        return_mask: u.arbitrary()?,
        channel_axis: if u.ratio(1, 8)? { Some(u.int_in_range(-5..=5)?) } else { None },
        input: Some(any(u)?),
    })
}

/// A tensor of any dtype and shape.
fn any(u: &mut Unstructured<'_>) -> Result<pb::Tensor> {
    let (dtype, shape) = (dtype(u)?, shape(u)?);
    message(u, dtype, &shape)
}

fn gradients(u: &mut Unstructured<'_>) -> Result<Vec<pb::Tensor>> {
    (0..u.int_in_range(0..=3)?).map(|_| any(u)).collect()
}

/// A number that some field accepts, or in one case of four any number.
pub fn number(u: &mut Unstructured<'_>) -> Result<f64> {
    if u.ratio(1, 4)? { u.arbitrary() } else { u.choose(&[0.5, 0.1, 1.0, 0.0, 1e-5, 2.0, f64::INFINITY]).copied() }
}

/// Makes one in one case of four.
pub fn maybe<T>(u: &mut Unstructured<'_>, make: impl FnOnce(&mut Unstructured<'_>) -> Result<T>) -> Result<Option<T>> {
    if u.ratio(1, 4)? { make(u).map(Some) } else { Ok(None) }
}

/// Makes one that is required, but leaves it out in one case of sixteen.
fn mostly<T>(u: &mut Unstructured<'_>, make: impl FnOnce(&mut Unstructured<'_>) -> Result<T>) -> Result<Option<T>> {
    if u.ratio(15, 16)? { make(u).map(Some) } else { Ok(None) }
}
