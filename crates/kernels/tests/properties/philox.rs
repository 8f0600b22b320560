//! The stream against Philox4x64-10 as its paper defines it: Salmon et al., "Parallel random numbers: as easy as 1, 2,
//! 3", SC 2011, with NumPy's conventions for the counter. It follows the definition literally: one word at a time, with
//! the counter as one number of 256 bits. `tests/golden` compares with NumPy itself.

use evenkeel_kernels::{DType, Dropout, DropoutKind, DropoutScaling, Uninterrupted, dropout, philox};
use num_bigint::BigUint;
use proptest::prelude::*;

use super::case::tensor;

/// A number's four 64-bit words, the lowest first.
fn words(counter: &BigUint) -> [u128; 4] {
    let mut words = counter.iter_u64_digits().map(u128::from).chain([0; 4]);
    [(); 4].map(|()| words.next().expect("four were added"))
}

/// The 64-bit words of one block.
fn block(key: [u128; 2], counter: &BigUint) -> [u128; 4] {
    const WORD: u128 = 1 << 64;
    let [mut k0, mut k1] = key;
    let [mut x0, mut x1, mut x2, mut x3] = words(counter);
    for round in 0..10 {
        if round > 0 {
            k0 = (k0 + 0x9E37_79B9_7F4A_7C15) % WORD; // the golden ratio
            k1 = (k1 + 0xBB67_AE85_84CA_A73B) % WORD; // sqrt(3) - 1
        }
        let (product0, product1) = (x0 * 0xD2E7_470E_E14C_6C93, x2 * 0xCA5A_8263_9512_1157);
        (x0, x1, x2, x3) = ((product1 / WORD) ^ x1 ^ k0, product1 % WORD, (product0 / WORD) ^ x3 ^ k1, product0 % WORD);
    }
    [x0, x1, x2, x3]
}

/// Word `index` of NumPy's stream of 32-bit words: its generator increments the counter before each block, which it gives
/// out from the first word on, the low half first.
fn word(seed: u64, index: u64) -> u32 {
    let counter = BigUint::from(index / 8) + 1u8;
    let word = block([u128::from(seed), 0], &counter)[(index % 8 / 2) as usize];
    (word >> (32 * (index % 2))) as u32
}

/// Numbers near powers of two as well as any.
fn any_word() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0u64..20,
        (0u64..40).prop_map(|below| u64::MAX - below),
        (0u32..64, -20i64..20).prop_map(|(bit, near)| (1u64 << bit).wrapping_add_signed(near)),
    ]
}

proptest! {
    #[test]
    fn every_word_is_its_definition(seed in any_word(), first in any_word(), len in 0usize..50) {
        let first = first.min(u64::MAX - 50);
        let mut words = vec![0; len];
        philox::fill(seed, first, &mut words);
        for (i, got) in words.into_iter().enumerate() {
            prop_assert_eq!(got, word(seed, first + i as u64), "word {} of seed {}", first + i as u64, seed);
        }
    }

    /// Also for thresholds that equal one of the words, which then keeps, or exceed it by one, and then it drops.
    #[test]
    fn a_mask_is_the_words_that_reach_the_threshold(
        seed in any_word(), offset in any_word(), len in 1usize..40, p in 0.0..=1.0f64, at in prop::option::of(0u64..40), above: bool,
    ) {
        let offset = offset.min(u64::MAX - 40);
        let at = at.map(|at| u64::from(word(seed, offset + at)) + u64::from(above));
        let p = at.map_or(p, |threshold| threshold as f64 / 2f64.powi(32)); // exact
        let threshold = (p * 2f64.powi(32)).ceil() as u64;
        let spec = Dropout { p, seed, offset, kind: DropoutKind::Element, scaling: DropoutScaling::None, channel_axis: None };
        let input = tensor(DType::F32, &[len], &vec![1.0; len]);
        let mask = dropout(&spec, input.view(), true, &Uninterrupted).expect("valid").mask.expect("asked for");
        for i in 0..len {
            let kept = mask[i / 8] >> (i % 8) & 1 == 1;
            prop_assert_eq!(kept, u64::from(word(seed, offset + i as u64)) >= threshold, "draw {}", i);
        }
    }
}
