//! The checks of options that do not fit the call, or ask for too much.

use super::{LONGEST, Maker, too_long};
use crate::cli::{
    error::Error,
    files::expect_memory,
    payload::{Format, options::Options},
};

impl Maker<'_> {
    /// Refuses more elements than a message or the memory has room for.
    pub(super) fn expect_room(&self, shapes: &[Vec<usize>]) -> Result<(), Error> {
        let size = self.options.dtype.of_kernels().size();
        let elements = |shape: &Vec<usize>| shape.iter().try_fold(1_usize, |all, dim| all.checked_mul(*dim));
        let all = shapes.iter().try_fold(0_usize, |all, shape| all.checked_add(elements(shape)?));
        let bytes = all.and_then(|all| all.checked_mul(size)).ok_or_else(|| too_long(usize::MAX))?;
        if bytes > LONGEST {
            return Err(too_long(bytes));
        }
        // The elements, the messages with them, and for JSON the text of a message: four bytes for three, in memory that doubles
        // while the text moves into it. A number is four bytes, and at most 16 of text.
        let copies = if self.format == Format::Binary { 2 } else { 6 };
        let number = if self.options.float_data { 4 + 3 * 16 } else { 0 };
        let takes = bytes.saturating_mul(copies).saturating_add(bytes / size * number);
        expect_memory(takes).map_err(|error| Error::usage("--shape", format!("the request is too large: {error}")))
    }

    pub(super) fn expect_plain(&self) -> Result<(), Error> {
        let Options { shape, tensors, dtype: _, seed: _, set, with: _, float_data: _, backward: _, chunk: _ } =
            self.options;
        self.expect_unidirectional()?;
        self.expect_no_tensors_beside()?;
        let flag = [("--shape", !shape.is_empty()), ("--tensors", *tensors != 1), ("--set", !set.is_empty())];
        match flag.into_iter().find(|(_, is_given)| *is_given) {
            Some((flag, _)) => Err(Error::usage(flag, "this call has an empty request")),
            None => Ok(()),
        }
    }

    pub(super) fn expect_no_tensors_beside(&self) -> Result<(), Error> {
        if self.options.with.is_empty() {
            Ok(())
        } else {
            Err(Error::usage("--with", "only normalizations have tensors beside their input"))
        }
    }

    pub(super) fn expect_unidirectional(&self) -> Result<(), Error> {
        if self.options.backward {
            let reason = "only DropoutStream, MeasureStatistics and MeasureStatisticsUnary have both directions; others have a call for each";
            return Err(Error::usage("--backward", reason));
        }
        Ok(())
    }

    pub(super) fn expect_bytes(&self) -> Result<(), Error> {
        if self.options.float_data {
            return Err(Error::usage("--float-data", "the elements of a stream are bytes"));
        }
        Ok(())
    }
}
