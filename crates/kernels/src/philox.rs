//! NumPy's Philox4x64-10 bit generator, as a random-access stream of 32-bit words.
//!
//! Word `i` of seed `s` is element `i` of `np.random.Philox(key=s).random_raw(…).view('<u4')`; only the raw integer
//! stream, which NEP 19 guarantees, is relied on. The algorithm is Salmon et al., "Parallel random numbers: as easy
//! as 1, 2, 3", SC 2011.

const MULTIPLIERS: [u64; 2] = [0xD2E7_470E_E14C_6C93, 0xCA5A_8263_9512_1157];
const WEYL: [u64; 2] = [0x9E37_79B9_7F4A_7C15, 0xBB67_AE85_84CA_A73B];
const ROUNDS: usize = 10;

/// The words of one block.
const BLOCK: usize = 8;

/// Writes the words `first`, `first + 1`, … of the seed's stream to `words`.
///
/// # Panics
/// If the last word's index would be above `u64::MAX`.
#[inline]
pub fn fill(seed: u64, first: u64, words: &mut [u32]) {
    let Some(last) = (words.len() as u64).checked_sub(1) else { return };
    assert!(first.checked_add(last).is_some(), "the stream ends at word u64::MAX");

    let (mut number, skip) = (first / BLOCK as u64, (first % BLOCK as u64) as usize);
    let head = words.len().min((BLOCK - skip) % BLOCK);
    let (head, rest) = words.split_at_mut(head);
    if !head.is_empty() {
        head.copy_from_slice(&block(seed, number)[skip..skip + head.len()]);
        number += 1;
    }
    let (whole, tail) = rest.as_chunks_mut::<BLOCK>();
    for words in whole {
        *words = block(seed, number);
        number += 1;
    }
    if !tail.is_empty() {
        tail.copy_from_slice(&block(seed, number)[..tail.len()]);
    }
}

/// Words `8 * number` to `8 * number + 7`.
#[inline(always)]
fn block(seed: u64, number: u64) -> [u32; BLOCK] {
    // NumPy increments the counter before it makes a block, so the first one has counter 1. Word numbers are 64-bit,
    // so block numbers stay below 2^61 and never carry into the counter's other three words.
    let mut c = [number + 1, 0, 0, 0];
    let mut key = [seed, 0];
    for _ in 0..ROUNDS {
        let (high0, low0) = wide_product(MULTIPLIERS[0], c[0]);
        let (high1, low1) = wide_product(MULTIPLIERS[1], c[2]);
        c = [high1 ^ c[1] ^ key[0], low1, high0 ^ c[3] ^ key[1], low0];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    std::array::from_fn(|word| (c[word / 2] >> (32 * (word % 2))) as u32)
}

#[inline(always)]
fn wide_product(a: u64, b: u64) -> (u64, u64) {
    let product = u128::from(a) * u128::from(b);
    ((product >> 64) as u64, product as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        let mut words = [0; 8];
        fill(42, 0, &mut words);
        let expected =
            [0x4d62_880e, 0xd1f8_817d, 0x5cc8_797e, 0x3072_66b6, 0xf084_ed03, 0xde1f_04e7, 0x78cd_1e59, 0x6503_4a8e];
        assert_eq!(words, expected);
        fill(0, 0, &mut words);
        assert_eq!(words[..4], [0x08e4_d89b, 0x02f4_ba64, 0x9ca8_c5b2, 0x3dd6_2b0b]);
    }

    #[test]
    fn every_slice_is_a_slice_of_the_whole() {
        let mut whole = [0; 64];
        fill(7, 1000, &mut whole);
        for start in 0..24 {
            for len in 0..40 {
                let mut slice = vec![0; len];
                fill(7, 1000 + start as u64, &mut slice);
                assert_eq!(slice, whole[start..start + len], "{start}, {len}");
            }
        }
    }

    #[test]
    fn the_last_word_exists() {
        let mut words = [0; 3];
        fill(1, u64::MAX - 2, &mut words);
        let mut last = [0];
        fill(1, u64::MAX, &mut last);
        assert_eq!(words[2], last[0]);
        fill(1, u64::MAX, &mut []);
    }
}
