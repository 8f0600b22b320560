//! The operations on small tensors: no panic, and the same bytes however a tensor is cut in parts.

#![no_main]

use std::fmt::Debug;

use arbitrary::{Result, Unstructured};
use evenkeel_fuzz::{
    messages::{maybe, number},
    tensors::{dtype, shape, tensor},
};
use evenkeel_kernels::{
    ClipMode, Clipping, DType, Dropout, DropoutByParts, DropoutKind, DropoutScaling, NormKind, NormParameters,
    Normalization, NormalizationByParts, PartStatistics, Tensor, TensorMut, Uninterrupted, clip_gradients,
    clip_gradients_in_place, dropout, dropout_backward, normalize, normalize_backward,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut u = Unstructured::new(data);
    // Input with too few bytes is no case.
    let _ = case(&mut u);
});

fn case(u: &mut Unstructured<'_>) -> Result<()> {
    match u.int_in_range(0..=3)? {
        0 => clipped(u),
        1 => dropped(u),
        _ => normalized(u),
    }
}

/// The results of the whole and of the parts. `None`: both were refused, with the same error.
fn both<W: Debug, P, E: Debug + PartialEq>(whole: Result<W, E>, parts: Result<P, E>) -> Option<(W, P)> {
    match (whole, parts) {
        (Ok(whole), Ok(parts)) => Some((whole, parts)),
        (Err(whole), Err(parts)) => {
            assert_eq!(whole, parts);
            None
        }
        (whole, parts) => panic!("{whole:?} and {:?}", parts.err()),
    }
}

fn normalized(u: &mut Unstructured<'_>) -> Result<()> {
    let kind = *u.choose(&NormKind::ALL)?;
    let (dtype, shape) = (dtype(u)?, shape(u)?);
    let rank = shape.len() as i32;
    let spec = Normalization {
        axes: if u.ratio(1, 3)? { (u.int_in_range(0..=rank)?..rank).collect() } else { Vec::new() },
        groups: if kind == NormKind::Group { u.int_in_range(0..=4)? } else { 0 },
        eps: maybe(u, number)?,
        channel_axis: maybe(u, |u| u.int_in_range(-rank - 1..=rank))?,
        training: maybe(u, |u| u.arbitrary())?,
        momentum: maybe(u, number)?,
        ..Normalization::new(kind)
    };
    let affine_shape: Vec<usize> = if kind.has_channels() {
        let axis = spec.channel_axis.unwrap_or(1);
        let axis = if axis < 0 { axis + rank } else { axis };
        usize::try_from(axis).ok().and_then(|axis| shape.get(axis)).copied().into_iter().collect()
    } else if spec.axes.is_empty() {
        kind.default_axes(shape.len(), None).into_iter().map(|axis| shape[axis]).collect()
    } else {
        shape[spec.axes[0] as usize..].to_vec()
    };
    let affine = |u: &mut Unstructured<'_>| maybe(u, |u| tensor(u, DType::F32, &affine_shape));
    let (mut weight, mut bias, mean, var) = (affine(u)?, affine(u)?, affine(u)?, affine(u)?);
    if !kind.has_affine() && u.ratio(3, 4)? {
        (weight, bias) = (None, None);
    }
    let parameters = NormParameters {
        weight: weight.as_ref().map(Tensor::view),
        bias: bias.as_ref().map(Tensor::view),
        running_mean: mean.as_ref().map(Tensor::view),
        running_var: var.as_ref().map(Tensor::view),
        statistics: None,
    };
    let input = tensor(u, dtype, &shape)?;
    let return_statistics = u.arbitrary()?;
    let grad_output = tensor(u, dtype, &shape)?;
    let _ = normalize_backward(&spec, &parameters, input.view(), grad_output.view(), &Uninterrupted);

    let whole = normalize(&spec, &parameters, input.view(), return_statistics, &Uninterrupted);
    let parts = NormalizationByParts::new(&spec, &parameters, dtype, &shape, &Uninterrupted);
    let Some((whole, parts)) = both(whole, parts) else { return Ok(()) };
    let (unit, total) = (parts.unit_len(), parts.total_len());
    let mut output = vec![0; total];
    let (mut from, mut statistics) = (0, PartStatistics::default());
    while from < total {
        let units = (total - from) / unit;
        // The input chooses the length of a part, but there are no more than some hundred parts.
        let len = unit * u.int_in_range(1..=units)?.max(units / 100).max(1);
        let to = (from + len).min(total);
        let part = parts.normalize(from, &input.data()[from..to], &mut output[from..to], &Uninterrupted);
        parts.gather(&mut statistics, part.expect("nothing cancels it"));
        from = to;
    }
    assert!(output == whole.output.data(), "{spec:?} {dtype} {shape:?}: other bytes in parts");
    let by_parts = parts.finish(&parameters, return_statistics, statistics);
    let whole = whole.map_output(|_| ());
    // Tensors are compared as bytes, since there may be NaNs.
    assert!(by_parts == whole, "{spec:?} {dtype} {shape:?}: {by_parts:?} and {whole:?}");
    Ok(())
}

fn dropped(u: &mut Unstructured<'_>) -> Result<()> {
    let kinds = [DropoutKind::Element, DropoutKind::Channel, DropoutKind::Alpha, DropoutKind::FeatureAlpha];
    let spec = Dropout {
        p: number(u)?,
        seed: u.arbitrary()?,
        offset: if u.ratio(1, 2)? { u.arbitrary()? } else { u.int_in_range(0..=9)? },
        kind: *u.choose(&kinds)?,
        scaling: *u.choose(&[DropoutScaling::Inverted, DropoutScaling::None])?,
        channel_axis: if u.ratio(1, 4)? { Some(u.int_in_range(-4..=4)?) } else { None },
    };
    let (dtype, shape, return_mask) = (dtype(u)?, shape(u)?, u.arbitrary()?);
    let input = tensor(u, dtype, &shape)?;
    let backward = dropout_backward(&spec, input.view(), &Uninterrupted);
    let whole = dropout(&spec, input.view(), return_mask, &Uninterrupted);
    assert_eq!(whole.is_ok(), backward.is_ok());
    let parts = DropoutByParts::new(&spec, dtype, &shape, &Uninterrupted);
    let Some((whole, parts)) = both(whole, parts) else { return Ok(()) };
    // The length of the parts is fixed, but their order is free: here from the last to the first.
    let len = parts.part_len();
    let mut output = vec![0; parts.total_len()];
    let pieces = input.data().chunks(len).zip(output.chunks_mut(len)).enumerate().rev();
    let mut masks: Vec<_> = pieces
        .map(|(index, (input, output))| {
            parts.drop_elements(index, input, output, &Uninterrupted).expect("nothing cancels it")
        })
        .collect();
    masks.reverse();
    assert!(parts.finish(return_mask, masks, output) == whole, "{spec:?} {dtype} {shape:?}: other bytes in parts");
    Ok(())
}

fn clipped(u: &mut Unstructured<'_>) -> Result<()> {
    let spec = Clipping {
        mode: *u.choose(&[ClipMode::Norm, ClipMode::Value, ClipMode::NormPerTensor])?,
        threshold: number(u)?,
        norm_type: maybe(u, number)?,
        error_if_nonfinite: u.arbitrary()?,
        total_norm: maybe(u, number)?,
        epsilon: maybe(u, number)?,
        not_above: u.ratio(1, 4)?,
    };
    let mut gradients = Vec::new();
    for _ in 0..u.int_in_range(0..=3)? {
        let (dtype, shape) = (dtype(u)?, shape(u)?);
        gradients.push(tensor(u, dtype, &shape)?);
    }
    let views: Vec<_> = gradients.iter().map(Tensor::view).collect();
    if let Ok(clipped) = clip_gradients(&spec, &views, &Uninterrupted) {
        assert_eq!(clipped.data.len(), gradients.len());
        for (data, gradient) in clipped.data.iter().zip(&gradients) {
            assert!(data.as_ref().is_none_or(|data| data.len() == gradient.data().len()), "{spec:?}: other lengths");
        }
        let mut copies: Vec<_> = gradients.iter().map(|gradient| gradient.data().to_vec()).collect();
        let mut in_place: Vec<_> = copies
            .iter_mut()
            .zip(&gradients)
            .map(|(copy, gradient)| {
                TensorMut::new(gradient.dtype(), gradient.shape(), copy).expect("a copy is as long")
            })
            .collect();
        clip_gradients_in_place(&spec, &mut in_place, &Uninterrupted).expect("it can be clipped");
        for ((copy, data), gradient) in copies.iter().zip(&clipped.data).zip(&gradients) {
            assert!(copy == data.as_deref().unwrap_or(gradient.data()), "{spec:?}: other bytes in place");
        }
    }
    Ok(())
}
