//! What a table tells of a tensor.

use evenkeel_client::Tensor;

/// Mean, standard deviation and norm of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Summary {
    /// NaN without elements.
    pub(super) mean: f64,
    /// Of the population. NaN without elements.
    pub(super) std: f64,
    /// The Euclidean norm.
    pub(super) norm: f64,
}

impl Summary {
    pub(super) fn of(tensor: &Tensor) -> Self {
        let count = tensor.len() as f64;
        let mut sum = 0.0;
        let mut largest = 0.0_f64;
        each(tensor, |x| {
            sum += x;
            largest = if x.is_nan() { x } else { largest.max(x.abs()) };
        });
        let mean = sum / count;
        // Squares of elements beyond 1e154 would overflow; divided by the largest they are at most 1.
        let unit = if largest > 0.0 && largest.is_finite() { largest } else { 1.0 };
        let (mut deviations, mut squares) = (0.0, 0.0);
        each(tensor, |x| {
            deviations += ((x - mean) / unit).powi(2);
            squares += (x / unit).powi(2);
        });
        Self { mean, std: unit * (deviations / count).sqrt(), norm: unit * squares.sqrt() }
    }
}

/// The share of the elements that differ; two NaN do not. The tensors have the same type and shape.
pub(super) fn changed(before: &Tensor, after: &Tensor) -> f64 {
    let mut values = Vec::with_capacity(before.len());
    each(before, |x| values.push(x));
    let mut values = values.into_iter();
    let mut count = 0_u64;
    each(after, |after| {
        let differs = values.next().is_none_or(|before| before != after && !(before.is_nan() && after.is_nan()));
        count += u64::from(differs);
    });
    share(count, before.len())
}

/// `part` of `whole`; of nothing, all.
pub(super) fn share(part: u64, whole: usize) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

fn each(tensor: &Tensor, f: impl FnMut(f64)) {
    match tensor {
        Tensor::F32(array) => array.iter().map(|&x| f64::from(x)).for_each(f),
        Tensor::F64(array) => array.iter().copied().for_each(f),
        Tensor::F16(array) => array.iter().map(|x| x.to_f64()).for_each(f),
        Tensor::Bf16(array) => array.iter().map(|x| x.to_f64()).for_each(f),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, array};

    use super::*;

    #[test]
    fn plain_numbers() {
        let Summary { mean, std, norm } = Summary::of(&array![[1.0_f32, 2.0], [3.0, 6.0]].into());
        assert_eq!(mean, 3.0);
        assert!((std - 3.5_f64.sqrt()).abs() < 1e-14 && (norm - 50_f64.sqrt()).abs() < 1e-14, "{std} {norm}");
    }

    #[test]
    fn huge_numbers_do_not_overflow() {
        let Summary { mean, std, norm } = Summary::of(&array![3e200_f64, -4e200].into());
        assert_eq!(mean, -5e199);
        assert!((std / 3.5e200 - 1.0).abs() < 1e-14 && (norm / 5e200 - 1.0).abs() < 1e-14, "{std} {norm}");
    }

    #[test]
    fn what_is_not_a_number_stays_none() {
        let Summary { mean, std, norm } = Summary::of(&array![1.0_f32, f32::NAN, 2.0].into());
        assert!(mean.is_nan() && std.is_nan() && norm.is_nan());
        assert_eq!(Summary::of(&array![1.0_f32, f32::INFINITY].into()).norm, f64::INFINITY);
        let Summary { mean, std, norm } = Summary::of(&Array1::<f64>::zeros(0).into());
        assert!(mean.is_nan() && std.is_nan() && norm == 0.0);
    }

    #[test]
    fn shares() {
        let before = array![0.0_f32, 1.0, f32::NAN, 4.0].into();
        assert_eq!(changed(&before, &array![0.0_f32, 0.5, f32::NAN, f32::NAN].into()), 0.5);
        assert_eq!(share(0, 0), 1.0);
    }
}
