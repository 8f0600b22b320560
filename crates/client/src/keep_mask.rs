//! The masks of dropout, computed here.

use evenkeel_exact::philox;

use crate::{Error, FieldViolation};

/// The words that are drawn at a time.
const WORDS: usize = 1 << 10;

/// Which of `n` elements a dropout keeps: true for elements `offset` to `offset + n - 1` of the seed's stream that are kept with
/// probability `1 - p`. Nothing is sent: the mask depends on these numbers alone, and is the server's. For the kinds that drop channels
/// the elements are the pairs (sample, channel).
///
/// ```
/// # fn main() -> Result<(), evenkeel_client::Error> {
/// let whole = evenkeel_client::keep_mask(42, 8, 0.3, 0)?;
/// let second_half = evenkeel_client::keep_mask(42, 4, 0.3, 4)?;
/// assert_eq!(whole[4..], second_half);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::InvalidArgument`] if `p` is not in [0, 1], or if the last element would be beyond 2^64.
pub fn keep_mask(seed: u64, n: usize, p: f64, offset: u64) -> Result<Vec<bool>, Error> {
    if !(0.0..=1.0).contains(&p) {
        return Err(invalid("p", format!("{p} is not in [0, 1]")));
    }
    if offset.checked_add((n as u64).saturating_sub(1)).is_none() {
        return Err(invalid("offset", format!("{offset} with {n} elements runs past the end of the stream, 2^64")));
    }
    // 2^32 itself keeps nothing.
    let threshold = (p * 2f64.powi(32)).ceil() as u64;
    let (mut keep, mut words) = (Vec::with_capacity(n), [0; WORDS]);
    while keep.len() < n {
        let some = &mut words[..WORDS.min(n - keep.len())];
        philox::fill(seed, offset + keep.len() as u64, some);
        keep.extend(some.iter().map(|&word| u64::from(word) >= threshold));
    }
    Ok(keep)
}

fn invalid(field: &str, description: String) -> Error {
    let violation = FieldViolation { field: field.to_owned(), description };
    Error::InvalidArgument { message: violation.to_string(), violations: vec![violation] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_cut_anywhere_up_to_the_end_of_the_stream() {
        for offset in [0, 3, u64::MAX - 40] {
            let whole = keep_mask(7, 41, 0.5, offset).expect("it is within the stream");
            assert_eq!(whole.len(), 41);
            assert!(whole.contains(&true) && whole.contains(&false));
            for from in 0..=41 {
                for until in from..=41 {
                    let part = keep_mask(7, until - from, 0.5, offset.wrapping_add(from as u64));
                    assert_eq!(part.expect("it is within the stream"), whole[from..until], "{offset} {from} {until}");
                }
            }
        }
    }

    /// Masks are drawn in pieces, whose joints change nothing. The words are those of NumPy by the tests of the stream.
    #[test]
    fn a_long_mask_has_the_words_of_the_stream() {
        let (n, offset) = (2 * WORDS + 5, 13);
        let mut words = vec![0; n];
        philox::fill(42, offset, &mut words);
        let expected: Vec<bool> = words.into_iter().map(|word| word >= 1 << 30).collect();
        assert_eq!(keep_mask(42, n, 0.25, offset).expect("it is right"), expected);
    }

    #[test]
    fn probabilities_of_0_and_1_keep_all_and_nothing() {
        assert_eq!(keep_mask(1, 9, 0.0, 5).expect("it is right"), [true; 9]);
        assert_eq!(keep_mask(1, 9, 1.0, 5).expect("it is right"), [false; 9]);
        assert_eq!(keep_mask(1, 0, 0.5, u64::MAX).expect("it is right").len(), 0);
    }

    #[test]
    fn wrong_arguments_are_named() {
        for (p, offset, n, field) in
            [(-0.1, 0, 1, "p"), (1.1, 0, 1, "p"), (f64::NAN, 0, 1, "p"), (0.5, u64::MAX, 2, "offset")]
        {
            let refused = keep_mask(1, n, p, offset).expect_err("it is wrong");
            assert!(
                matches!(&refused, Error::InvalidArgument { violations, .. } if violations[0].field == field),
                "{refused:?}"
            );
        }
    }
}
