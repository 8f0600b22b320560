//! The operations that can replace their input give the bits of those that do not, and the same errors.

use evenkeel_kernels::{
    Clipped, Clipping, Drawn, Dropout, Dropped, Error, NormGradients, NormParameters, Normalization, Normalized,
    Tensor, TensorMut, TensorRef, Uninterrupted, clip_gradients, clip_gradients_in_place, dropout, dropout_backward,
    dropout_backward_in_place, dropout_in_place, normalize, normalize_backward, normalize_backward_in_place,
    normalize_in_place,
};

/// The result of `operation` on copies of these tensors, and the copies after it.
fn replaced<T>(tensors: &[TensorRef<'_>], operation: impl FnOnce(Vec<TensorMut<'_>>) -> T) -> (T, Vec<Vec<u8>>) {
    let mut copies: Vec<Vec<u8>> = tensors.iter().map(|tensor| tensor.data().to_vec()).collect();
    let tensors = copies
        .iter_mut()
        .zip(tensors)
        .map(|(copy, tensor)| TensorMut::new(tensor.dtype(), tensor.shape(), copy).expect("a copy is as long"));
    let result = operation(tensors.collect());
    (result, copies)
}

/// [`clip_gradients`], compared with itself in place.
pub(crate) fn clip_both(spec: &Clipping, gradients: &[TensorRef<'_>]) -> Result<Clipped, Error> {
    let apart = clip_gradients(spec, gradients, &Uninterrupted);
    let (in_place, copies) =
        replaced(gradients, |mut copies| clip_gradients_in_place(spec, &mut copies, &Uninterrupted));
    for (index, (copy, gradient)) in copies.iter().zip(gradients).enumerate() {
        let expected = apart.as_ref().ok().and_then(|clipped| clipped.data[index].as_deref());
        assert!(copy == expected.unwrap_or(gradient.data()), "{spec:?}: gradient {index} differs in place");
    }
    let without_data = apart.clone().map(|clipped| Clipped { data: Vec::new(), ..clipped });
    // A norm may be NaN, which is not equal to itself.
    assert_eq!(format!("{in_place:?}"), format!("{without_data:?}"), "{spec:?}");
    apart
}

/// [`dropout()`], compared with itself in place.
pub(crate) fn dropout_both(spec: &Dropout, input: TensorRef<'_>) -> Result<Dropped, Error> {
    let apart = dropout(spec, input, true, &Uninterrupted);
    let (in_place, copies) = replaced(&[input], |mut copy| dropout_in_place(spec, &mut copy[0], true, &Uninterrupted));
    let expected = apart.clone().map(|Dropped { kept, mask, output: _ }| Drawn { kept, mask });
    assert_eq!(in_place, expected, "{spec:?}");
    let expected = apart.as_ref().map_or(input.data(), |dropped| dropped.output.data());
    assert!(copies[0] == expected, "{spec:?}: differs in place");
    apart
}

/// [`dropout_backward`], compared with itself in place.
pub(crate) fn dropout_backward_both(spec: &Dropout, grad_output: TensorRef<'_>) -> Result<Tensor, Error> {
    let apart = dropout_backward(spec, grad_output, &Uninterrupted);
    let (in_place, copies) =
        replaced(&[grad_output], |mut copy| dropout_backward_in_place(spec, &mut copy[0], &Uninterrupted));
    assert_eq!(in_place, apart.as_ref().map(|_| ()).map_err(Clone::clone), "{spec:?}");
    assert!(copies[0] == apart.as_ref().map_or(grad_output.data(), Tensor::data), "{spec:?}: differs in place");
    apart
}

/// [`normalize`], compared with itself in place.
pub(crate) fn normalize_in_both(
    spec: &Normalization,
    parameters: &NormParameters<'_>,
    input: TensorRef<'_>,
) -> Result<Normalized, Error> {
    let apart = normalize(spec, parameters, input, true, &Uninterrupted);
    let (in_place, copies) =
        replaced(&[input], |mut copy| normalize_in_place(spec, parameters, &mut copy[0], true, &Uninterrupted));
    assert!(in_place == apart.clone().map(|normalized| normalized.map_output(|_| ())), "{spec:?}");
    let expected = apart.as_ref().map_or(input.data(), |normalized| normalized.output.data());
    assert!(copies[0] == expected, "{spec:?}: differs in place");
    apart
}

/// [`normalize_backward`], compared with itself in place.
pub(crate) fn normalize_backward_in_both(
    spec: &Normalization,
    parameters: &NormParameters<'_>,
    input: TensorRef<'_>,
    grad_output: TensorRef<'_>,
) -> Result<NormGradients, Error> {
    let apart = normalize_backward(spec, parameters, input, grad_output, &Uninterrupted);
    let (in_place, copies) = replaced(&[grad_output], |mut copy| {
        normalize_backward_in_place(spec, parameters, input, &mut copy[0], &Uninterrupted)
    });
    assert!(in_place == apart.clone().map(|gradients| gradients.map_grad_input(|_| ())), "{spec:?}");
    let expected = apart.as_ref().map_or(grad_output.data(), |gradients| gradients.grad_input.data());
    assert!(copies[0] == expected, "{spec:?}: differs in place");
    apart
}
