//! The table of before and after that a command on files prints.

use std::{
    fmt::{self, Write as _},
    io::{self, Write as _},
};

use evenkeel_client::Tensor;

use super::{error::Error, files::Target, summary::Summary};

/// A tensor before or after an operation.
#[derive(Clone, Debug)]
pub(super) struct Row {
    cells: Vec<String>,
}

impl Row {
    /// `more` are the cells of the columns that this command has beside those of all.
    pub(super) fn new(name: &str, state: &str, tensor: &Tensor, more: impl IntoIterator<Item = String>) -> Self {
        let Summary { mean, std, norm } = Summary::of(tensor);
        let mut cells = vec![name.to_owned(), state.to_owned()];
        cells.extend([tensor.dtype().to_string(), format!("{:?}", tensor.shape())]);
        cells.extend([mean, std, norm].map(number));
        cells.extend(more);
        Self { cells }
    }
}

/// Rows under a header; columns are two or more spaces apart, and no cell is empty, so programs can read it too.
#[derive(Clone, Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// `more` are the headers of the columns that this command has beside those of all.
    pub(super) fn new(more: &[&str]) -> Self {
        let common = ["tensor", "state", "dtype", "shape", "mean", "std", "norm"];
        Self { rows: vec![common.iter().chain(more).map(|&header| header.to_owned()).collect()] }
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
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.rows[0].len()).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                let gap = if column == 0 { "" } else { "  " };
                if column < LEFT {
                    write!(line, "{gap}{cell:<width$}")?;
                } else {
                    write!(line, "{gap}{cell:>width$}")?;
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
    } else if (1e-4..1e6).contains(&magnitude) {
        let before_point = magnitude.log10().floor() as i32 + 1;
        format!("{x:.*}", usize::try_from(6 - before_point).unwrap_or(0))
    } else {
        format!("{x:.5e}")
    }
}

/// A share, in percent.
pub(super) fn percent(share: f64) -> String {
    format!("{:.2}%", 100.0 * share)
}

/// Prints to standard output. Somebody who reads only the first lines (`| head`) has seen enough.
pub(super) fn print(text: impl fmt::Display) -> Result<(), Error> {
    match write!(io::stdout(), "{text}").and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Output(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Prints what was written, one file on a line.
pub(super) fn print_written<'a>(targets: impl IntoIterator<Item = Option<&'a Target>>) -> Result<(), Error> {
    targets.into_iter().flatten().try_for_each(|target| print(format_args!("wrote {}\n", target.path().display())))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn numbers_have_six_digits() {
        for (x, text) in [
            (0.0, "0"),
            (1.0, "1.00000"),
            (-79.751_234_5, "-79.7512"),
            (999_999.4, "999999"),
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
        let mut table = Table::new(&["kept"]);
        table.push(Row::new("", "before", &array![[1.0_f32, 1.0]].into(), [String::new()]));
        table.push(Row::new("ünïcode", "after", &array![[0.5_f64, -1.5]].into(), [percent(0.25)]));
        let expected = "\
tensor   state   dtype    shape       mean      std     norm    kept
-        before  float32  [1, 2]   1.00000        0  1.41421       -
ünïcode  after   float64  [1, 2]  -0.500000  1.00000  1.58114  25.00%
";
        assert_eq!(table.to_string().replace(' ', ""), expected.replace(' ', ""));
        let ends: Vec<_> = table.to_string().lines().map(|line| line.chars().count()).collect();
        assert!(ends.iter().all(|&end| end == ends[0]), "{table}");
    }
}
