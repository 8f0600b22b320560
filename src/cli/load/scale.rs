//! Times as people read them.

/// A time in nanoseconds, with three digits and its unit.
pub(super) fn time(nanoseconds: u64) -> String {
    let nanoseconds = nanoseconds as f64;
    let (number, unit) = match nanoseconds {
        ..1e3 => return format!("{nanoseconds} ns"),
        1e3..999.5e3 => (nanoseconds / 1e3, "µs"),
        999.5e3..999.5e6 => (nanoseconds / 1e6, "ms"),
        _ => (nanoseconds / 1e9, "s"),
    };
    format!("{} {unit}", digits(number))
}

/// A number with three digits or more.
pub(super) fn digits(number: f64) -> String {
    let decimals = match number.abs() {
        ..9.995 => 2,
        9.995..99.95 => 1,
        _ => 0,
    };
    format!("{number:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_and_a_unit() {
        for (nanoseconds, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (12_345, "12.3 µs"),
            (999_499, "999 µs"),
            (999_500, "1.00 ms"),
            (123_456_789, "123 ms"),
            (999_500_000, "1.00 s"),
            (3_600_000_000_000, "3600 s"),
        ] {
            assert_eq!(time(nanoseconds), text);
        }
    }
}
