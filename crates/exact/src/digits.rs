//! Integers in digits of 32 bits, each in a 64-bit place that has room for carries. The highest digit has the sign.

pub(crate) const DIGIT_BITS: u32 = 32;

/// The number of additions to a digit after which carries must move to the next digits.
pub(crate) const ADDITIONS_BEFORE_CARRY: u32 = 1 << 30;

/// Adds `mantissa * 2^place`, or its negative, to the three digits from `place` on, all of which must exist.
#[inline]
pub(crate) fn add(digits: &mut [i64], mantissa: u64, place: u32, negative: bool) {
    let wide = u128::from(mantissa) << (place % DIGIT_BITS);
    let first = (place / DIGIT_BITS) as usize;
    for (index, digit) in digits[first..first + 3].iter_mut().enumerate() {
        let part = i64::from((wide >> (DIGIT_BITS * index as u32)) as u32);
        *digit += if negative { -part } else { part };
    }
}

/// Brings every digit but the highest into [0, 2^32). The highest digit saturates.
pub(crate) fn carry(digits: &mut [i64]) {
    let (top, others) = digits.split_last_mut().expect("there are digits");
    let mut carry = 0;
    for digit in others {
        let sum = *digit + carry;
        carry = sum >> DIGIT_BITS;
        *digit = sum & i64::from(u32::MAX);
    }
    *top = top.saturating_add(carry);
}

/// Replaces a carried number by its absolute value, carried. Returns whether it was negative.
pub(crate) fn make_positive(digits: &mut [i64]) -> bool {
    let negative = digits.last().is_some_and(|&top| top < 0);
    if negative {
        digits.iter_mut().for_each(|digit| *digit = digit.saturating_neg());
        carry(digits);
    }
    negative
}

/// A carried number that is not negative, the lowest byte first: the number of bytes below its lowest digit that is not 0, and the
/// bytes from there to its highest.
pub(crate) fn to_le_bytes(digits: &[i64]) -> (u32, Vec<u8>) {
    let is_set = |&digit: &i64| digit != 0;
    let (Some(first), Some(last)) = (digits.iter().position(is_set), digits.iter().rposition(is_set)) else {
        return (0, Vec::new());
    };
    let mut bytes = Vec::with_capacity(4 * (last + 1 - first));
    digits[first..=last].iter().for_each(|&digit| bytes.extend_from_slice(&(digit as u32).to_le_bytes()));
    (4 * first as u32, bytes)
}
