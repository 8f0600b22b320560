//! Clipping in every mode, and norms that merge.

use evenkeel_kernels::{
    Cancelled, ClipInOrder, ClipMode, ClipNeeds, ClipTotals, Clipped, Clipping, DType, Error, NormOrder, Tensor,
    TensorMut, TensorRef, clip_gradients, clip_gradients_in_place, measure_gradients,
};

use super::{
    digest::{Digest, Ways, parts},
    inputs::{self, Pattern},
    places::{Case, Everywhere},
};

/// The elements of each gradient: one has more than a chunk, one none.
const LENGTHS: [usize; 4] = [20_011, 17, 0, 3000];

/// Gradients of one dtype; `None`: of all of them.
type Dtype = Option<DType>;

struct Clip {
    name: &'static str,
    spec: Clipping,
    dtype: Dtype,
}

struct Measure {
    order: NormOrder,
    dtype: Dtype,
}

/// Every mode and order of the norm.
fn clippings() -> Vec<(&'static str, Clipping)> {
    let norm = |mode, order| Clipping { norm_type: Some(order), ..Clipping::new(mode, 1.0) };
    let (all, each) = (ClipMode::Norm, ClipMode::NormPerTensor);
    let held = |order| Clipping { not_above: true, ..norm(all, order) };
    vec![
        ("norm 1", norm(all, 1.0)),
        ("norm 2", norm(all, 2.0)),
        ("norm 2.5", norm(all, 2.5)),
        ("norm inf", norm(all, f64::INFINITY)),
        ("norm 1 not-above", held(1.0)),
        ("norm 2 not-above", held(2.0)),
        ("norm inf not-above", held(f64::INFINITY)),
        ("norm given", Clipping { total_norm: Some(3.0), epsilon: Some(0.0), ..Clipping::new(all, 1.0) }),
        ("norm-per-tensor 1", norm(each, 1.0)),
        ("norm-per-tensor 2", norm(each, 2.0)),
        ("norm-per-tensor 2 not-above", Clipping { not_above: true, ..norm(each, 2.0) }),
        ("norm-per-tensor 2.5", norm(each, 2.5)),
        ("norm-per-tensor inf", norm(each, f64::INFINITY)),
        ("value", Clipping::new(ClipMode::Value, 1.5)),
    ]
}

pub(super) fn cases() -> Vec<Box<dyn Case>> {
    let mut cases: Vec<Box<dyn Case>> = Vec::new();
    for dtype in DType::ALL.into_iter().map(Some).chain([None]) {
        for (name, spec) in clippings() {
            cases.push(Box::new(Clip { name, spec, dtype }));
        }
        for order in [NormOrder::One, NormOrder::Two, NormOrder::Infinity] {
            cases.push(Box::new(Measure { order, dtype }));
        }
    }
    cases
}

/// The numbers of the gradients of each case.
const PATTERNS: [Pattern; 3] = [Pattern::Noise, Pattern::Wide, Pattern::Special];

fn gradients(dtype: Dtype, pattern: Pattern) -> Vec<Tensor> {
    let dtypes = DType::ALL.map(|of_place| dtype.unwrap_or(of_place));
    let of = |((dtype, len), seed)| match len {
        // There is no place for special numbers.
        0 => inputs::tensor(dtype, &[0], Pattern::Noise, seed),
        len => inputs::tensor(dtype, &[len], pattern, seed),
    };
    dtypes.into_iter().zip(LENGTHS).zip(7..).map(of).collect()
}

fn dtype_name(dtype: Dtype) -> &'static str {
    dtype.map_or("mixed", DType::name)
}

impl Case for Clip {
    fn name(&self) -> String {
        let Self { name, spec: _, dtype } = self;
        format!("ClipGradients {name} {}", dtype_name(*dtype))
    }

    fn compute(&self, everywhere: &mut Everywhere<'_>) -> Result<(), Cancelled> {
        PATTERNS.into_iter().try_for_each(|pattern| {
            let gradients = gradients(self.dtype, pattern);
            everywhere.run(|ways| self.of_gradients(&gradients, ways))
        })
    }
}

impl Clip {
    fn of_gradients(&self, gradients: &[Tensor], ways: &mut Ways<'_>) -> Result<(), Error> {
        let (spec, checkpoint) = (&self.spec, ways.checkpoint);
        let views: Vec<TensorRef<'_>> = gradients.iter().map(Tensor::view).collect();
        let apart = clip_gradients(spec, &views, checkpoint)?;
        let outputs = || apart.data.iter().zip(gradients).map(|(new, old)| new.as_deref().unwrap_or(old.data()));
        ways.add("apart", |digest| add(digest, &apart, outputs()));

        let mut copies: Vec<Vec<u8>> = gradients.iter().map(|gradient| gradient.data().to_vec()).collect();
        let places = copies.iter_mut().zip(gradients).map(|(copy, gradient)| {
            TensorMut::new(gradient.dtype(), gradient.shape(), copy).expect("a copy is as long")
        });
        let clipped = clip_gradients_in_place(spec, &mut places.collect::<Vec<_>>(), checkpoint)?;
        ways.add("in place", |digest| add(digest, &clipped, copies.iter().map(Vec::as_slice)));

        if spec.needs() == ClipNeeds::Everything {
            return Ok(());
        }
        let (clipped, outputs) = in_order(spec, gradients, ways)?;
        ways.add("in parts", |digest| add(digest, &clipped, outputs.iter().map(Vec::as_slice)));
        Ok(())
    }
}

fn add<'a>(digest: &mut Digest, clipped: &Clipped, outputs: impl Iterator<Item = &'a [u8]>) {
    let Clipped { total_norm, scale, clipped_elements, tensor_norms, data: _ } = clipped;
    digest.number(*total_norm);
    digest.number(*scale);
    digest.count(*clipped_elements);
    tensor_norms.iter().for_each(|&norm| digest.number(norm));
    outputs.for_each(|output| digest.bytes(output));
}

/// Clips each gradient part by part, or as a whole if the parts need all of it.
fn in_order(spec: &Clipping, gradients: &[Tensor], ways: &Ways<'_>) -> Result<(Clipped, Vec<Vec<u8>>), Error> {
    let clipping = ClipInOrder::new(spec)?;
    let mut totals = ClipTotals::new(&clipping);
    let mut outputs = Vec::new();
    for gradient in gradients {
        let (dtype, input) = (gradient.dtype(), gradient.data());
        let mut output = input.to_vec();
        totals.begin();
        if spec.needs() == ClipNeeds::Gradient {
            let mut place = TensorMut::new(dtype, gradient.shape(), &mut output).expect("a copy is as long");
            totals.add(clipping.clip_gradient(&mut place, ways.checkpoint)?);
        } else {
            for part in parts(input.len(), 777 * dtype.size()) {
                totals.add(clipping.clip(dtype, &input[part.clone()], &mut output[part], ways.checkpoint)?);
            }
        }
        outputs.push(output);
    }
    Ok((clipping.finish(totals)?, outputs))
}

impl Case for Measure {
    fn name(&self) -> String {
        let Self { order, dtype } = self;
        format!("MeasureGradients {} {}", order.norm_type(), dtype_name(*dtype))
    }

    fn compute(&self, everywhere: &mut Everywhere<'_>) -> Result<(), Cancelled> {
        PATTERNS.into_iter().try_for_each(|pattern| {
            let gradients = gradients(self.dtype, pattern);
            everywhere.run(|ways| self.of_gradients(&gradients, ways))
        })
    }
}

impl Measure {
    fn of_gradients(&self, gradients: &[Tensor], ways: &mut Ways<'_>) -> Result<(), Error> {
        let views: Vec<TensorRef<'_>> = gradients.iter().map(Tensor::view).collect();
        let measure = |views: &[TensorRef<'_>]| measure_gradients(self.order, views, ways.checkpoint);
        let whole = measure(&views)?.to_parts();
        let mut merged = measure(&views[1..])?;
        merged.merge(&measure(&views[..1])?).expect("both are of the same order");
        for (way, parts) in [("whole", whole), ("merged", merged.to_parts())] {
            ways.add(way, |digest| {
                for count in [parts.elements, parts.nan_elements, parts.infinite_elements] {
                    digest.count(count);
                }
                digest.number(parts.norm_type);
                digest.number(parts.largest);
                digest.bytes(&parts.sum);
            });
        }
        Ok(())
    }
}
