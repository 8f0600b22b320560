//! Dropout of every kind.

use evenkeel_kernels::{
    Cancelled, DType, Drawn, Dropout, DropoutInOrder, DropoutKind, DropoutScaling, Dropped, Error, MaskWriter, Tensor,
    dropout, dropout_backward, dropout_backward_in_place, dropout_in_place,
};

use super::{
    digest::{Digest, Ways, in_place, parts},
    inputs::{self, Pattern},
    places::{Case, Everywhere},
};

/// Samples, channels and elements; more than a chunk together.
const SHAPE: [usize; 3] = [3, 5, 1333];

struct Dropping {
    kind: DropoutKind,
    scaling: DropoutScaling,
    channel_axis: Option<i32>,
    is_backward: bool,
    dtype: DType,
}

pub(super) fn cases() -> Vec<Box<dyn Case>> {
    let inverted = DropoutScaling::Inverted;
    let mut cases: Vec<Box<dyn Case>> = Vec::new();
    for (kind, scaling, channel_axis) in [
        (DropoutKind::Element, inverted, None),
        (DropoutKind::Element, DropoutScaling::None, None),
        (DropoutKind::Channel, inverted, None),
        (DropoutKind::Channel, inverted, Some(2)),
        (DropoutKind::Alpha, inverted, None),
        (DropoutKind::FeatureAlpha, inverted, None),
    ] {
        for dtype in DType::ALL {
            for is_backward in [false, true] {
                cases.push(Box::new(Dropping { kind, scaling, channel_axis, is_backward, dtype }));
            }
        }
    }
    cases
}

impl Case for Dropping {
    fn name(&self) -> String {
        let Self { kind, scaling, channel_axis, is_backward, dtype } = self;
        let operation = if *is_backward { "DropoutBackward" } else { "Dropout" };
        let kind = match kind {
            DropoutKind::Element => "element",
            DropoutKind::Channel => "channel",
            DropoutKind::Alpha => "alpha",
            DropoutKind::FeatureAlpha => "feature-alpha",
        };
        let scaling = match scaling {
            DropoutScaling::Inverted => "",
            DropoutScaling::None => " unscaled",
        };
        let axis = channel_axis.map(|axis| format!(" axis {axis}")).unwrap_or_default();
        format!("{operation} {kind}{scaling}{axis} {dtype}")
    }

    fn compute(&self, everywhere: &mut Everywhere<'_>) -> Result<(), Cancelled> {
        let &Self { kind, scaling, channel_axis, is_backward, dtype } = self;
        // Draws are made eight at a time where the first is a multiple of eight.
        for (p, offset, pattern) in [(0.3, 5, Pattern::Wide), (0.5, 8, Pattern::Special)] {
            let spec = Dropout { p, seed: 9, offset, kind, scaling, channel_axis };
            let input = inputs::tensor(dtype, &SHAPE, pattern, 6);
            everywhere.run(
                |ways| {
                    if is_backward { backward(&spec, &input, ways) } else { forward(&spec, &input, ways) }
                },
            )?;
        }
        Ok(())
    }
}

fn forward(spec: &Dropout, input: &Tensor, ways: &mut Ways<'_>) -> Result<(), Error> {
    let checkpoint = ways.checkpoint;
    let add = |digest: &mut Digest, kept: u64, mask: Option<&[u8]>, output: &[u8]| {
        digest.count(kept);
        digest.bytes(mask.unwrap_or_default());
        digest.elements(input.dtype(), input.shape(), output);
    };
    let Dropped { kept, mask, output } = dropout(spec, input.view(), true, checkpoint)?;
    ways.add("apart", |digest| add(digest, kept, mask.as_deref(), output.data()));
    let (Drawn { kept, mask }, output) = in_place(input, |input| dropout_in_place(spec, input, true, checkpoint))?;
    ways.add("in place", |digest| add(digest, kept, mask.as_deref(), &output));
    let operation = DropoutInOrder::forward(spec, input.dtype(), input.shape())?;
    let (output, mask, kept) = in_parts(&operation, input, ways)?;
    ways.add("in parts", |digest| add(digest, kept, Some(&mask), &output));
    Ok(())
}

fn backward(spec: &Dropout, grad: &Tensor, ways: &mut Ways<'_>) -> Result<(), Error> {
    let checkpoint = ways.checkpoint;
    let apart = dropout_backward(spec, grad.view(), checkpoint)?;
    ways.add("apart", |digest| digest.bytes(apart.data()));
    let ((), output) = in_place(grad, |grad| dropout_backward_in_place(spec, grad, checkpoint))?;
    ways.add("in place", |digest| digest.bytes(&output));
    let operation = DropoutInOrder::backward(spec, grad.dtype(), grad.shape())?;
    let (output, ..) = in_parts(&operation, grad, ways)?;
    ways.add("in parts", |digest| digest.bytes(&output));
    Ok(())
}

/// The output, the mask and how many elements were kept.
fn in_parts(operation: &DropoutInOrder, input: &Tensor, ways: &Ways<'_>) -> Result<(Vec<u8>, Vec<u8>, u64), Error> {
    let (mut output, mut mask) = (vec![0; input.data().len()], MaskWriter::default());
    for part in parts(output.len(), 100 * operation.unit_len()) {
        let (from, input) = (part.start, &input.data()[part.clone()]);
        mask.add(operation.drop_elements(from, input, &mut output[part], ways.checkpoint)?);
    }
    let kept = operation.kept(&mask);
    Ok((output, mask.finish(), kept))
}
