//! Numbers in their shortest form, for messages.

use std::fmt;

/// A number in the shortest form that parses to the same float64, with an exponent where it would have many zeros.
///
/// ```
/// use evenkeel_exact::Brief;
///
/// assert_eq!([0.1, -2.0, 1e300, 5e-324].map(|x| Brief(x).to_string()), ["0.1", "-2", "1e300", "5e-324"]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Brief(pub f64);

impl fmt::Display for Brief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(x) = self;
        if *x == 0.0 || (1e-5..1e16).contains(&x.abs()) { x.fmt(f) } else { fmt::LowerExp::fmt(x, f) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_number_has_its_name() {
        let words = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0].map(|x| Brief(x).to_string());
        assert_eq!(words, ["NaN", "inf", "-inf", "-0"]);
    }

    proptest! {
        #[test]
        fn words_are_short_and_read_back(x in any::<f64>()) {
            let words = Brief(x).to_string();
            prop_assert!(words.len() <= 24, "{words}");
            prop_assert_eq!(words.parse::<f64>().map(f64::to_bits), Ok(x.to_bits()));
        }
    }
}
