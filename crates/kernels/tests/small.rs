//! Every operation on a few elements, to another place and in place, at every address: the same bytes.
//!
//! These tests are small enough for Miri (`.ci/miri`), which sees what a wrong index or address does although the bytes are right.

use evenkeel_kernels::{
    ClipInOrder, ClipMode, ClipTotals, Clipping, DType, Dropout, DropoutInOrder, DropoutKind, DropoutScaling,
    MaskWriter, NormKind, NormParameters, Normalization, Tensor, TensorMut, TensorRef, Uninterrupted, clip_gradients,
    clip_gradients_in_place, dropout, dropout_backward, dropout_backward_in_place, dropout_in_place, encode, normalize,
    normalize_backward, normalize_backward_in_place, normalize_in_place,
};

/// Under Miri, which takes minutes for all of them, one of each width.
fn dtypes() -> &'static [DType] {
    if cfg!(miri) { &[DType::F16, DType::F32, DType::F64] } else { &DType::ALL }
}

/// Under Miri, the address that suits no dtype.
fn offsets() -> &'static [usize] {
    if cfg!(miri) { &[1] } else { &[0, 1, 3] }
}

/// The ends of parts of `unit` bytes and more, in this order and again.
fn parts(len: usize, unit: usize) -> Vec<std::ops::Range<usize>> {
    let mut parts = Vec::new();
    let mut from = 0;
    for units in [1, 3, 2].into_iter().cycle() {
        if from == len {
            break;
        }
        let end = len.min(from + units * unit);
        parts.push(from..end);
        from = end;
    }
    parts
}

/// Bytes that begin `offset` bytes into a buffer.
struct Placed {
    buffer: Vec<u8>,
    offset: usize,
    len: usize,
}

impl Placed {
    fn new(bytes: &[u8], offset: usize) -> Self {
        let buffer = [&vec![0xA5; offset][..], bytes, &[0x5A; 8]].concat();
        Self { buffer, offset, len: bytes.len() }
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut self.buffer[self.offset..][..self.len]
    }

    /// The bytes, once it is sure that those around them are as they were.
    fn taken(mut self) -> Vec<u8> {
        let (before, after) = (&self.buffer[..self.offset], &self.buffer[self.offset + self.len..]);
        assert!(before.iter().all(|&byte| byte == 0xA5) && after.iter().all(|&byte| byte == 0x5A), "only the tensor");
        self.bytes().to_vec()
    }
}

fn tensor(dtype: DType, shape: &[usize], seed: usize) -> Tensor {
    let len = shape.iter().product();
    let values: Vec<f64> = (0..len).map(|i| ((i * 37 + seed * 11) % 64) as f64 / 8.0 - 3.5).collect();
    let mut bytes = vec![0; len * dtype.size()];
    encode(dtype, &values, &mut bytes);
    Tensor::from_bytes(dtype, shape.to_vec(), bytes).expect("as many bytes as it needs")
}

/// What `replace` makes of a tensor at each address.
fn in_place(tensor: &Tensor, replace: impl Fn(&mut TensorMut<'_>)) -> Vec<Vec<u8>> {
    let replaced = |&offset: &usize| {
        let mut placed = Placed::new(tensor.data(), offset);
        replace(&mut TensorMut::new(tensor.dtype(), tensor.shape(), placed.bytes()).expect("the same bytes"));
        placed.taken()
    };
    offsets().iter().map(replaced).collect()
}

fn all_are(replaced: Vec<Vec<u8>>, expected: &[u8], what: &str) {
    assert!(replaced.iter().all(|bytes| bytes == expected), "{what}: {replaced:?}, {expected:?}");
}

/// A row of more than a block; under Miri, of hardly more, and of one dtype.
const LONG: [usize; 2] = [1, if cfg!(miri) { 260 } else { 300 }];

fn normalizations() -> Vec<(NormKind, Vec<usize>)> {
    vec![
        (NormKind::Layer, vec![3, 19]),
        (NormKind::Layer, LONG.to_vec()),
        (NormKind::Rms, vec![2, 17]),
        (NormKind::L2, vec![2, 17]),
        (NormKind::Batch, vec![3, 2, 5]),
        (NormKind::Batch, vec![5, 3]), // channels are neighbours
        (NormKind::Instance, vec![2, 2, 9]),
        (NormKind::Group, vec![2, 4, 3]),
    ]
}

#[test]
fn normalization_to_another_place_and_in_place() {
    for (kind, shape) in normalizations() {
        let dtypes = if cfg!(miri) && shape == LONG { &[DType::F32] } else { dtypes() };
        for &dtype in dtypes {
            let what = format!("{kind:?} {shape:?} {dtype}");
            let groups = if kind == NormKind::Group { 2 } else { 0 };
            let spec = Normalization { groups, ..Normalization::new(kind) };
            let (input, grad) = (tensor(dtype, &shape, 1), tensor(dtype, &shape, 2));
            let places = if kind.has_channels() { shape[1] } else { shape[shape.len() - 1] };
            let weight = tensor(dtype, &[places], 3);
            let weight = Some(weight.view()).filter(|_| kind.has_affine());
            let parameters = NormParameters { weight, bias: weight, ..NormParameters::default() };
            let apart = normalize(&spec, &parameters, input.view(), true, &Uninterrupted).expect("valid");
            let replaced = in_place(&input, |input| {
                normalize_in_place(&spec, &parameters, input, true, &Uninterrupted).expect("valid");
            });
            all_are(replaced, apart.output.data(), &what);
            let backward = normalize_backward(&spec, &parameters, input.view(), grad.view(), &Uninterrupted);
            let replaced = in_place(&grad, |grad| {
                normalize_backward_in_place(&spec, &parameters, input.view(), grad, &Uninterrupted).expect("valid");
            });
            all_are(replaced, backward.expect("valid").grad_input.data(), &what);
        }
    }
}

#[test]
fn running_statistics_to_another_place_and_in_place() {
    for &dtype in dtypes() {
        let input = tensor(dtype, &[2, 3, 5], 1);
        let mean = tensor(DType::F32, &[3], 2);
        let var = Tensor::from_array(&ndarray::array![0.5f32, 1.0, 2.0]);
        let (running_mean, running_var) = (Some(mean.view()), Some(var.view()));
        let parameters = NormParameters { running_mean, running_var, ..NormParameters::default() };
        let spec = Normalization::new(NormKind::Batch);
        let apart = normalize(&spec, &parameters, input.view(), false, &Uninterrupted).expect("valid");
        let replaced = in_place(&input, |input| {
            normalize_in_place(&spec, &parameters, input, false, &Uninterrupted).expect("valid");
        });
        all_are(replaced, apart.output.data(), dtype.name());
    }
}

#[test]
fn dropout_to_another_place_and_in_place() {
    let kinds = [DropoutKind::Element, DropoutKind::FeatureAlpha, DropoutKind::Channel, DropoutKind::Alpha];
    let kinds = if cfg!(miri) { &kinds[..2] } else { &kinds }; // these two take all the ways of the others
    for &dtype in dtypes() {
        let input = tensor(dtype, &[2, 3, 7], 1);
        for &kind in kinds {
            let scaling = DropoutScaling::Inverted;
            let spec = Dropout { p: 0.4, seed: 7, offset: 3, kind, scaling, channel_axis: None };
            let what = format!("{kind:?} {dtype}");
            let apart = dropout(&spec, input.view(), true, &Uninterrupted).expect("valid");
            let replaced = in_place(&input, |input| {
                let drawn = dropout_in_place(&spec, input, true, &Uninterrupted).expect("valid");
                assert_eq!((drawn.kept, &drawn.mask), (apart.kept, &apart.mask), "{what}");
            });
            all_are(replaced, apart.output.data(), &what);
            let backward = dropout_backward(&spec, input.view(), &Uninterrupted).expect("valid");
            let replaced = in_place(&input, |gradient| {
                dropout_backward_in_place(&spec, gradient, &Uninterrupted).expect("valid");
            });
            all_are(replaced, backward.data(), &what);
        }
    }
}

#[test]
fn dropout_in_order() {
    for &dtype in dtypes() {
        for kind in [DropoutKind::Element, DropoutKind::FeatureAlpha] {
            let input = tensor(dtype, &[2, 5, 7], 1);
            let channel_axis = (kind == DropoutKind::FeatureAlpha).then_some(2);
            let scaling = DropoutScaling::Inverted;
            let spec = Dropout { p: 0.4, seed: 7, offset: 3, kind, scaling, channel_axis };
            let whole = dropout(&spec, input.view(), true, &Uninterrupted).expect("valid");
            let operation = DropoutInOrder::forward(&spec, dtype, input.shape()).expect("valid");
            let mut mask = MaskWriter::default();
            let mut output = Vec::new();
            for part in parts(input.data().len(), operation.unit_len()) {
                let mut placed = Placed::new(&vec![0; part.len()], 3);
                let input = &input.data()[part.clone()];
                let draws = operation.drop_elements(part.start, input, placed.bytes(), &Uninterrupted);
                mask.add(draws.expect("nobody stops it"));
                output.extend(placed.taken());
            }
            let kept = operation.kept(&mask);
            assert_eq!((output.as_slice(), Some(mask.finish()), kept), (whole.output.data(), whole.mask, whole.kept));
        }
    }
}

#[test]
fn clipping_in_order() {
    for &dtype in dtypes() {
        let gradient = tensor(dtype, &[40], 1);
        // Miri takes seconds for each root of an exact sum.
        let by_value = Clipping { norm_type: Some(f64::INFINITY), ..Clipping::new(ClipMode::Value, 1.0) };
        let by_norm = Clipping { total_norm: Some(3.0), ..Clipping::new(ClipMode::Norm, 1.0) };
        for spec in [by_value, by_norm] {
            let whole = clip_gradients(&spec, &[gradient.view()], &Uninterrupted).expect("valid");
            let clipping = ClipInOrder::new(&spec).expect("valid");
            let mut totals = ClipTotals::new(&clipping);
            totals.begin();
            let mut output = Vec::new();
            for part in parts(gradient.data().len(), dtype.size()) {
                let mut placed = Placed::new(&vec![0; part.len()], 3);
                let input = &gradient.data()[part];
                totals.add(clipping.clip(dtype, input, placed.bytes(), &Uninterrupted).expect("nobody stops it"));
                output.extend(placed.taken());
            }
            assert_eq!(Some(&output), whole.data[0].as_ref(), "{spec:?}");
            let clipped = clipping.finish(totals).expect("all is finite");
            assert_eq!(
                (clipped.total_norm, clipped.scale, clipped.clipped_elements),
                (whole.total_norm, whole.scale, whole.clipped_elements)
            );
        }
    }
}

#[test]
fn clipping_to_another_place_and_in_place() {
    let shape = [if cfg!(miri) { 40 } else { 300 }];
    for &dtype in dtypes() {
        let gradient = tensor(dtype, &shape, 1);
        let norm = |norm_type| Clipping { norm_type: Some(norm_type), ..Clipping::new(ClipMode::Norm, 1.0) };
        let (largest, by_value) = (norm(f64::INFINITY), Clipping::new(ClipMode::Value, 1.0));
        // Miri takes seconds for each root of an exact sum, and minutes for the tables of other orders.
        let specs = if cfg!(not(miri)) {
            vec![norm(2.0), largest, by_value, norm(1.0), norm(3.0)]
        } else if dtype == DType::F16 {
            vec![largest, by_value]
        } else {
            vec![norm(2.0)]
        };
        for spec in specs {
            let view: [TensorRef<'_>; 1] = [gradient.view()];
            let clipped = clip_gradients(&spec, &view, &Uninterrupted).expect("valid");
            let expected = clipped.data[0].as_deref().unwrap_or(gradient.data());
            let replaced = in_place(&gradient, |gradient| {
                let gradient = TensorMut::new(dtype, &shape, gradient.data_mut()).expect("as many bytes");
                clip_gradients_in_place(&spec, &mut [gradient], &Uninterrupted).expect("valid");
            });
            all_are(replaced, expected, &format!("{spec:?} {dtype}"));
        }
    }
}
