//! The tensors that are sent, and the check of the results.

use bytes::Bytes;

use crate::Result;

/// The length of a row; every benchmark over the network normalizes rows of this length.
pub(crate) const ROW: usize = 1024;
/// PyTorch's default, and evenkeel's.
const EPS: f64 = 1e-5;

/// Element `i` of every input, in [-1, 1): 24 bits of a multiplicative hash, so exact in float32. `kernels.py` has the
/// same formula.
pub(crate) fn value(i: usize) -> f32 {
    let hash = (i as u32).wrapping_mul(2_654_435_761);
    (hash >> 8) as f32 / (1 << 23) as f32 - 1.0
}

/// `bytes` of float32 elements.
pub(crate) fn float32(bytes: usize) -> Bytes {
    (0..bytes / 4).flat_map(|i| value(i).to_le_bytes()).collect::<Vec<u8>>().into()
}

/// The largest difference of a result from the reference.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tolerance {
    /// evenkeel's promise of one ulp, which is at most 2^-23 of the number.
    Ulp,
    /// The accuracy of float32 sums.
    Float32,
}

impl Tolerance {
    fn allows(self, got: f64, wanted: f64) -> bool {
        let limit = match self {
            Self::Ulp => wanted.abs() * 2f64.powi(-23) + 1e-12,
            Self::Float32 => wanted.abs() * 1e-5 + 1e-5,
        };
        (got - wanted).abs() <= limit
    }
}

/// Compares float32 results, as bytes, with layer normalization in float64 over rows of [`ROW`].
pub(crate) fn check_layer_norm(input: &[u8], output: &[u8], tolerance: Tolerance) -> Result<()> {
    if output.len() != input.len() {
        return Err(format!("{} bytes came back for {}", output.len(), input.len()).into());
    }
    let rows = input.chunks_exact(ROW * 4).zip(output.chunks_exact(ROW * 4));
    for (index, (x, y)) in rows.enumerate() {
        let x: Vec<f64> = elements(x).collect();
        let mean = x.iter().sum::<f64>() / ROW as f64;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / ROW as f64;
        let rstd = 1.0 / (variance + EPS).sqrt();
        let wrong = x.iter().zip(elements(y)).position(|(x, y)| !tolerance.allows(y, (x - mean) * rstd));
        if let Some(column) = wrong {
            return Err(format!("row {index}, column {column} is not what layer normalization gives").into());
        }
    }
    Ok(())
}

fn elements(bytes: &[u8]) -> impl Iterator<Item = f64> {
    bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_answer_is_seen() {
        let input = float32(2 * ROW * 4);
        let x: Vec<f64> = elements(&input).collect();
        let mut output = Vec::new();
        for row in x.chunks(ROW) {
            let mean = row.iter().sum::<f64>() / ROW as f64;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / ROW as f64;
            output.extend(row.iter().flat_map(|x| (((x - mean) / (variance + EPS).sqrt()) as f32).to_le_bytes()));
        }
        check_layer_norm(&input, &output, Tolerance::Ulp).expect("it is right");
        assert!(check_layer_norm(&input, &output[4..], Tolerance::Ulp).is_err());
        let element = (ROW + 7) * 4;
        output[element] ^= 2;
        assert!(check_layer_norm(&input, &output, Tolerance::Ulp).is_err());
        check_layer_norm(&input, &output, Tolerance::Float32).expect("it is close");
        output[element + 3] ^= 1;
        assert!(check_layer_norm(&input, &output, Tolerance::Float32).is_err());
    }
}
