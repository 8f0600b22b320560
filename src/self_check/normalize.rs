//! Normalization of every kind, by its own statistics, running ones and merged ones.

use evenkeel_kernels::{
    Cancelled, DType, Error, NormGradients, NormKind, NormParameters, Normalization, NormalizationInOrder, Normalized,
    PartStatistics, StatisticsMeter, Tensor, measure_statistics, normalize, normalize_backward,
    normalize_backward_in_place, normalize_in_place,
};

use super::{
    digest::{Digest, Ways, in_place, parts},
    inputs::{self, Pattern},
    places::{Case, Everywhere},
};

/// The statistics by which elements are normalized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Given {
    /// The input's own.
    Own,
    /// The input's own, which update running ones.
    Updating,
    /// Running ones.
    Running,
    /// Those of all parts of a tensor, of which the input is one.
    Merged,
}

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Normalize,
    NormalizeBackward,
    MeasureStatistics,
}

struct Normalizing {
    operation: Operation,
    kind: NormKind,
    given: Given,
    dtype: DType,
}

/// Shapes for every path through the kernels: sets along and across the runs, smaller and larger than a piece and a part.
fn shapes(kind: NormKind) -> &'static [(&'static [usize], Pattern)] {
    use Pattern::{Cancelling, Noise, Special, Wide};
    match kind {
        NormKind::Batch => &[
            (&[4, 12, 20, 41], Noise),
            (&[12_000, 3], Noise),
            (&[5, 3], Wide),
            (&[90, 70], Cancelling),
            (&[6, 7, 9], Special),
        ],
        NormKind::Layer => &[
            (&[120, 301], Noise),
            (&[2, 20_001], Noise),
            (&[7, 300], Wide),
            (&[5, 1025], Cancelling),
            (&[16, 19], Special),
        ],
        NormKind::Rms => &[
            (&[40, 1025], Noise),
            (&[2, 20_001], Noise),
            (&[7, 300], Wide),
            (&[5, 17], Cancelling),
            (&[16, 19], Special),
        ],
        NormKind::Instance => &[
            (&[2, 4, 71, 73], Noise),
            (&[3, 5, 29, 31], Noise),
            (&[2, 3, 9], Wide),
            (&[2, 3, 1025], Cancelling),
            (&[4, 4, 19], Special),
        ],
        NormKind::Group => {
            &[(&[2, 8, 71, 33], Noise), (&[3, 8, 5], Wide), (&[2, 4, 1025], Cancelling), (&[4, 8, 9], Special)]
        }
        NormKind::L2 => &[
            (&[40, 1025], Noise),
            (&[3, 40, 41], Noise),
            (&[2, 20_001], Noise),
            (&[7, 300], Wide),
            (&[16, 19], Special),
        ],
    }
}

/// Whether statistics of this kind are measured with gradients.
fn takes_gradients(kind: NormKind) -> bool {
    kind.has_running_statistics()
}

pub(super) fn cases() -> Vec<Box<dyn Case>> {
    let mut cases: Vec<Box<dyn Case>> = Vec::new();
    for kind in NormKind::ALL {
        for dtype in DType::ALL {
            let mut add = |operation, given| {
                cases.push(Box::new(Normalizing { operation, kind, given, dtype }));
            };
            add(Operation::Normalize, Given::Own);
            add(Operation::NormalizeBackward, Given::Own);
            add(Operation::MeasureStatistics, Given::Own);
            add(Operation::Normalize, Given::Merged);
            if kind.has_running_statistics() {
                add(Operation::NormalizeBackward, Given::Merged);
                add(Operation::Normalize, Given::Updating);
                add(Operation::Normalize, Given::Running);
                add(Operation::NormalizeBackward, Given::Running);
            }
        }
    }
    cases
}

impl Case for Normalizing {
    fn name(&self) -> String {
        let Self { operation, kind, given, dtype } = self;
        let operation = match operation {
            Operation::Normalize => "Normalize",
            Operation::NormalizeBackward => "NormalizeBackward",
            Operation::MeasureStatistics => "MeasureStatistics",
        };
        let given = match given {
            Given::Own => "",
            Given::Updating => " updating",
            Given::Running => " running",
            Given::Merged => " merged",
        };
        format!("{operation} {}{given} {dtype}", kind.name())
    }

    fn compute(&self, everywhere: &mut Everywhere<'_>) -> Result<(), Cancelled> {
        let is_own = self.operation != Operation::MeasureStatistics && self.given == Given::Own;
        let shapes = shapes(self.kind).iter().enumerate();
        // One large tensor does where statistics are measured before or elsewhere.
        let mut shapes = shapes.filter(|(index, _)| is_own || *index != 1).map(|(_, shape)| shape);
        shapes.try_for_each(|&(shape, pattern)| self.of_shape(shape, pattern, everywhere))
    }
}

impl Normalizing {
    fn of_shape(&self, shape: &[usize], pattern: Pattern, everywhere: &mut Everywhere<'_>) -> Result<(), Cancelled> {
        let &Self { operation, kind, given, dtype } = self;
        let groups = if kind == NormKind::Group { 4 } else { 0 };
        let training = (given == Given::Updating).then_some(true);
        let spec = Normalization { groups, training, ..Normalization::new(kind) };
        let input = inputs::tensor(dtype, shape, pattern, 1);
        let grad = inputs::tensor(dtype, shape, Pattern::Noise, 2);
        if operation == Operation::MeasureStatistics {
            return everywhere.run(|ways| measure(&spec, &input, &grad, ways));
        }
        let places = [if kind.has_channels() { shape[1] } else { shape[shape.len() - 1] }];
        // A float64 weight has float64 gradients, which show every bit of the sums whatever the dtype of the input is.
        let weight = inputs::tensor(DType::F64, &places, Pattern::Noise, 3);
        let bias = inputs::tensor(dtype, &places, Pattern::Noise, 4);
        let mean = inputs::tensor(DType::F32, &places, Pattern::Noise, 5);
        let variances: Vec<f64> = (0..places[0]).map(|channel| 0.5 + (channel % 7) as f64 / 4.0).collect();
        let var = inputs::of_values(dtype, &places, &variances);
        let is_running = matches!(given, Given::Running | Given::Updating);
        everywhere.run(|ways| {
            let merged = if given == Given::Merged {
                let gradient = takes_gradients(kind).then(|| grad.view());
                Some(measure_statistics(&spec, input.view(), gradient, ways.checkpoint)?)
            } else {
                None
            };
            let parameters = NormParameters {
                weight: kind.has_affine().then(|| weight.view()),
                bias: kind.has_affine().then(|| bias.view()),
                running_mean: is_running.then(|| mean.view()),
                running_var: is_running.then(|| var.view()),
                statistics: merged.as_ref(),
            };
            if operation == Operation::Normalize {
                forward(&spec, &parameters, &input, ways)
            } else {
                backward(&spec, &parameters, &input, &grad, ways)
            }
        })
    }
}

fn forward(
    spec: &Normalization,
    parameters: &NormParameters<'_>,
    input: &Tensor,
    ways: &mut Ways<'_>,
) -> Result<(), Error> {
    let (dtype, shape, checkpoint) = (input.dtype(), input.shape(), ways.checkpoint);
    let add = |digest: &mut Digest, rest: &Normalized<()>, output: &[u8]| {
        let Normalized { axes, mean, rstd, running_mean, running_var, output: () } = rest;
        axes.iter().for_each(|&axis| digest.count(axis as u64));
        [mean, rstd, running_mean, running_var].into_iter().for_each(|tensor| digest.tensor(tensor.as_ref()));
        digest.elements(dtype, shape, output);
    };
    let apart = normalize(spec, parameters, input.view(), true, checkpoint)?;
    let output = apart.output.clone();
    let apart = apart.map_output(|_| ());
    ways.add("apart", |digest| add(digest, &apart, output.data()));
    let (rest, output) = in_place(input, |input| normalize_in_place(spec, parameters, input, true, checkpoint))?;
    ways.add("in place", |digest| add(digest, &rest, &output));

    let operation = NormalizationInOrder::new(spec, parameters, dtype, shape, checkpoint)?;
    let (mut output, mut statistics) = (vec![0; input.data().len()], PartStatistics::default());
    let len = operation.part_len().div_ceil(3).next_multiple_of(operation.unit_len());
    for part in parts(output.len(), len) {
        let of_part = operation.normalize(part.start, &input.data()[part.clone()], &mut output[part], checkpoint)?;
        if let Some(of_part) = of_part {
            operation.gather(&mut statistics, of_part);
        }
    }
    let rest = operation.finish(parameters, true, statistics);
    ways.add("in parts", |digest| add(digest, &rest, &output));
    Ok(())
}

fn backward(
    spec: &Normalization,
    parameters: &NormParameters<'_>,
    input: &Tensor,
    grad: &Tensor,
    ways: &mut Ways<'_>,
) -> Result<(), Error> {
    let checkpoint = ways.checkpoint;
    let add = |digest: &mut Digest, rest: &NormGradients<()>, output: &[u8]| {
        let NormGradients { grad_weight, grad_bias, grad_input: () } = rest;
        [grad_weight, grad_bias].into_iter().for_each(|tensor| digest.tensor(tensor.as_ref()));
        digest.elements(input.dtype(), input.shape(), output);
    };
    let apart = normalize_backward(spec, parameters, input.view(), grad.view(), checkpoint)?;
    let output = apart.grad_input.clone();
    let apart = apart.map_grad_input(|_| ());
    ways.add("apart", |digest| add(digest, &apart, output.data()));
    let (rest, output) =
        in_place(grad, |grad| normalize_backward_in_place(spec, parameters, input.view(), grad, checkpoint))?;
    ways.add("in place", |digest| add(digest, &rest, &output));
    Ok(())
}

fn measure(spec: &Normalization, input: &Tensor, grad: &Tensor, ways: &mut Ways<'_>) -> Result<(), Error> {
    let (dtype, checkpoint) = (input.dtype(), ways.checkpoint);
    let gradient = takes_gradients(spec.kind).then_some(grad);
    let whole = measure_statistics(spec, input.view(), gradient.map(Tensor::view), checkpoint)?;
    ways.add("whole", |digest| digest.statistics(&whole));
    let mut meter = StatisticsMeter::new(spec, dtype, input.shape(), gradient.is_some())?;
    for part in parts(input.data().len(), 777 * dtype.size()) {
        let gradient = gradient.map_or(&[][..], |gradient| &gradient.data()[part.clone()]);
        meter.add(&input.data()[part], gradient, checkpoint)?;
    }
    let pieces = meter.finish(checkpoint)?;
    ways.add("in parts", |digest| digest.statistics(&pieces));
    Ok(())
}
