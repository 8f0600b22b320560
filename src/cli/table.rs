//! The table of before and after that a command on files prints.

use std::fmt;

use unicode_width::UnicodeWidthStr as _;

use super::summary::Summary;

/// A tensor before or after an operation.
#[derive(Clone, Debug)]
pub(super) struct Row {
    cells: Vec<String>,
}

impl Row {
    /// `more` is the cell of the column that this command has beside those of all.
    pub(super) fn new(
        name: &str,
        state: &str,
        dtype: &str,
        shape: &[usize],
        summary: Option<&Summary>,
        more: &str,
    ) -> Self {
        let numbers = summary.map(|it| [it.mean(), it.std(), it.norm()].map(number)).unwrap_or_default();
        let mut cells = [name, state, dtype].map(str::to_owned).to_vec();
        cells.push(format!("{shape:?}"));
        cells.extend(numbers);
        cells.push(more.to_owned());
        Self { cells }
    }
}

/// Rows under a header; columns are two or more spaces apart, and no cell is empty, so that programs can read them too.
#[derive(Clone, Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// `more` is the header of the column that this command has beside those of all.
    pub(super) fn new(more: &str) -> Self {
        let header = ["tensor", "state", "dtype", "shape", "mean", "std", "norm", more];
        Self { rows: vec![header.map(str::to_owned).to_vec()] }
    }

    pub(super) fn push(&mut self, Row { mut cells }: Row) {
        for cell in &mut cells {
            if cell.is_empty() {
                cell.push('-');
            }
        }
        self.rows.push(cells);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Names, states, dtypes and shapes are read from the left, numbers from the right.
        const LEFT: usize = 4;
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.width()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.rows[0].len()).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                line.push_str(if column == 0 { "" } else { "  " });
                // By columns of the terminal: a character may fill two, or none.
                let padding = " ".repeat(width - cell.width());
                if column < LEFT {
                    line.push_str(cell);
                    line.push_str(&padding);
                } else {
                    line.push_str(&padding);
                    line.push_str(cell);
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Six significant digits.
pub(super) fn number(x: f64) -> String {
    let magnitude = x.abs();
    if magnitude == 0.0 || !x.is_finite() {
        format!("{x}")
    } else {
        // Rounding may carry: 0.9999999 is 1.00000.
        let scientific = format!("{x:.5e}");
        match scientific.rsplit_once('e').and_then(|(_, exponent)| exponent.parse::<i32>().ok()) {
            Some(exponent @ -4..=5) => format!("{x:.*}", usize::try_from(5 - exponent).unwrap_or(0)),
            Some(_) | None => scientific,
        }
    }
}

/// A share, in percent.
pub(super) fn percent(share: f64) -> String {
    format!("{:.2}%", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use evenkeel_client::DType;

    use super::*;

    #[test]
    fn numbers_have_six_digits() {
        for (x, text) in [
            (0.0, "0"),
            (1.0, "1.00000"),
            (-79.751_234_5, "-79.7512"),
            (999_999.4, "999999"),
            (999_999.6, "1.00000e6"),
            (0.999_999_9, "1.00000"),
            (-99.999_99, "-100.000"),
            (0.099_999_99, "0.100000"),
            (0.000_099_999_99, "0.000100000"),
            (1_234_567.0, "1.23457e6"),
            (0.000_123_456_78, "0.000123457"),
            (0.000_012_3, "1.23000e-5"),
            (f64::INFINITY, "inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(number(x), text);
        }
        assert_eq!(percent(0.5), "50.00%");
    }

    #[test]
    fn columns_are_aligned_and_never_empty() {
        let of = |values: [f64; 2]| Summary::of(DType::F64, &values.map(f64::to_le_bytes).concat());
        let mut table = Table::new("kept");
        table.push(Row::new("", "before", "float64", &[1, 2], Some(&of([1.0, 1.0])), ""));
        table.push(Row::new("ünïcode", "after", "float64", &[1, 2], Some(&of([0.5, -1.5])), "25.00%"));
        table.push(Row::new("層の重み", "unchanged", "int64", &[], None, ""));
        let expected = "\
tensor    state      dtype    shape        mean      std     norm    kept
-         before     float64  [1, 2]    1.00000        0  1.41421       -
ünïcode   after      float64  [1, 2]  -0.500000  1.00000  1.58114  25.00%
層の重み  unchanged  int64    []              -        -        -       -
";
        assert_eq!(table.to_string(), expected);
        assert!(expected.lines().all(|line| line.width() == expected.lines().map(str::width).max().unwrap_or(0)));
    }
}
