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

/// Blocks that are made side by side: enough for every vector unit, and their 1 KiB stays in the first-level cache.
const ABREAST: usize = 32;

/// A byte for each block from block `number` on: bit `i` says whether its word `i` is at least `threshold`. The same as
/// [`fill`] and eight comparisons, but each step is one loop over many blocks, which vectorizes.
#[inline(always)]
pub fn fill_bits(seed: u64, number: u64, threshold: u32, bytes: &mut [u8]) {
    let threshold = u64::from(threshold);
    let keys = keys(seed);
    let steps: [(u64, u64); ABREAST] = std::array::from_fn(|i| wide_product(MULTIPLIERS[0], i as u64));
    // Three of a block's four counter words are 0. So the first round has one product, and that of the next counter is
    // larger by the multiplier; of the second round's two products one is the same for all blocks.
    let (seed_high, seed_low) = wide_product(MULTIPLIERS[0], seed);
    for (index, bytes) in bytes.chunks_mut(ABREAST).enumerate() {
        let first = number.wrapping_add(1 + (index * ABREAST) as u64);
        let (first_high, first_low) = wide_product(MULTIPLIERS[0], first);
        let mut c = [[0; ABREAST]; 4];
        let [c0, c1, c2, c3] = &mut c;
        for (i, (step_high, step_low)) in steps.into_iter().enumerate() {
            let low = first_low.wrapping_add(step_low);
            let high = first_high.wrapping_add(step_high).wrapping_add(u64::from(low < first_low));
            let (high1, low1) = product_of_halves(MULTIPLIERS[1], high);
            (c0[i], c1[i], c2[i], c3[i]) = (high1 ^ keys[1][0], low1, seed_high ^ low ^ keys[1][1], seed_low);
        }
        for key in &keys[2..] {
            let [c0, c1, c2, c3] = &mut c;
            for i in 0..ABREAST {
                let (high0, low0) = product_of_halves(MULTIPLIERS[0], c0[i]);
                let (high1, low1) = product_of_halves(MULTIPLIERS[1], c2[i]);
                (c0[i], c1[i], c2[i], c3[i]) = (high1 ^ c1[i] ^ key[0], low1, high0 ^ c3[i] ^ key[1], low0);
            }
        }
        let mut bits = [0u64; ABREAST];
        for (pair, words) in c.iter().enumerate() {
            for (bits, words) in bits.iter_mut().zip(words) {
                *bits |= u64::from(words & LOW >= threshold) << (2 * pair);
                *bits |= u64::from(words >> 32 >= threshold) << (2 * pair + 1);
            }
        }
        bytes.iter_mut().zip(bits).for_each(|(byte, bits)| *byte = bits as u8);
    }
}

/// The keys of the rounds.
#[inline(always)]
fn keys(seed: u64) -> [[u64; 2]; ROUNDS] {
    std::array::from_fn(|round| WEYL.map(|step| step.wrapping_mul(round as u64)))
        .map(|[a, b]| [a.wrapping_add(seed), b])
}

/// Words `8 * number` to `8 * number + 7`.
#[inline(always)]
fn block(seed: u64, number: u64) -> [u32; BLOCK] {
    // NumPy increments the counter before it makes a block, so the first one has counter 1. Word numbers are 64-bit,
    // so block numbers stay below 2^61 and never carry into the counter's other three words.
    let mut c = [number + 1, 0, 0, 0];
    for key in keys(seed) {
        let (high0, low0) = wide_product(MULTIPLIERS[0], c[0]);
        let (high1, low1) = wide_product(MULTIPLIERS[1], c[2]);
        c = [high1 ^ c[1] ^ key[0], low1, high0 ^ c[3] ^ key[1], low0];
    }
    std::array::from_fn(|word| (c[word / 2] >> (32 * (word % 2))) as u32)
}

/// The high and the low half of a product, by the one instruction that scalar units have for it.
#[inline(always)]
fn wide_product(a: u64, b: u64) -> (u64, u64) {
    let product = u128::from(a) * u128::from(b);
    ((product >> 64) as u64, product as u64)
}

const LOW: u64 = u32::MAX as u64;

/// The same from products of 32-bit halves, for which vector units have an instruction.
#[inline(always)]
fn product_of_halves(a: u64, b: u64) -> (u64, u64) {
    let (a0, a1, b0, b1) = (a & LOW, a >> 32, b & LOW, b >> 32);
    let (low, middle0, middle1, high) = (a0 * b0, a1 * b0, a0 * b1, a1 * b1);
    let carried0 = middle0 + (low >> 32);
    let carried1 = middle1 + (carried0 & LOW);
    (high + (carried0 >> 32) + (carried1 >> 32), carried1 << 32 | low & LOW)
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
    fn bits_are_comparisons_of_words() {
        for (seed, number, len) in [(42, 0, 100), (u64::MAX, (1 << 61) - 70, 70), (7, 1 << 32, 1), (0, 5, 0)] {
            for threshold in [0, 1, 0x1999_999A, 1 << 31, u32::MAX] {
                let mut bits = vec![0; len];
                fill_bits(seed, number, threshold, &mut bits);
                let mut words = vec![0; 8 * len];
                fill(seed, 8 * number, &mut words);
                for (index, word) in words.into_iter().enumerate() {
                    assert_eq!(bits[index / 8] >> (index % 8) & 1 == 1, word >= threshold, "{seed}, {index}");
                }
            }
        }
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
