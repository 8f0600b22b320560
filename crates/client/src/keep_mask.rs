//! The masks of dropout, computed here.

use crate::{Error, FieldViolation};

/// The multipliers and the key increments of Philox4x64 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
const MULTIPLIERS: [u64; 2] = [0xD2E7_470E_E14C_6C93, 0xCA5A_8263_9512_1157];
const WEYL: [u64; 2] = [0x9E37_79B9_7F4A_7C15, 0xBB67_AE85_84CA_A73B];
const ROUNDS: usize = 10;
/// The words of 32 bits in a block.
const BLOCK: u64 = 8;

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
    let Some(last) = (n as u64).checked_sub(1) else { return Ok(Vec::new()) };
    let Some(last) = offset.checked_add(last) else {
        return Err(invalid("offset", format!("{offset} with {n} elements runs past the end of the stream, 2^64")));
    };
    // 2^32 itself keeps nothing.
    let threshold = (p * 2f64.powi(32)).ceil() as u64;
    let mut keep = Vec::with_capacity(n);
    for number in offset / BLOCK..=last / BLOCK {
        let first = number * BLOCK;
        let words = block(seed, number);
        let within = offset.saturating_sub(first)..(last - first).saturating_add(1).min(BLOCK);
        keep.extend(words[within.start as usize..within.end as usize].iter().map(|&word| u64::from(word) >= threshold));
    }
    Ok(keep)
}

fn invalid(field: &str, description: String) -> Error {
    let violation = FieldViolation { field: field.to_owned(), description };
    Error::InvalidArgument { message: violation.to_string(), violations: vec![violation] }
}

/// Words `8 * number` to `8 * number + 7` of the stream. NumPy increments the counter before it makes a block, so the first one has
/// counter 1.
fn block(seed: u64, number: u64) -> [u32; BLOCK as usize] {
    let (mut counter, mut key) = ([number + 1, 0, 0, 0], [seed, 0]);
    for _ in 0..ROUNDS {
        let products =
            [(0, 0), (1, 2)].map(|(multiplier, word)| u128::from(MULTIPLIERS[multiplier]) * u128::from(counter[word]));
        let [(high0, low0), (high1, low1)] = products.map(|product| ((product >> 64) as u64, product as u64));
        counter = [high1 ^ counter[1] ^ key[0], low1, high0 ^ counter[3] ^ key[1], low0];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    std::array::from_fn(|word| (counter[word / 2] >> (32 * (word % 2))) as u32)
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
