//! Counts the requests of a connection that HTTP/2's library resets for errors of the client.

use super::super::passing::{HEAD, Passing, payload_len};

const RST_STREAM: u8 = 3;
/// The length of an error code, which is all of a reset's payload.
const CODE: usize = 4;

/// The codes of resets that are no error of the client: the response came before the end of the request, the service failed, and
/// the service gave the request up.
const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;
const CANCEL: u32 = 8;

/// Finds resets among the frames that HTTP writes.
#[derive(Debug, Default)]
pub(super) struct Resets {
    /// The head or the error code that is read as a whole.
    passing: Passing,
    /// Whether the head of a reset was read, and its error code follows.
    is_reset: bool,
    for_errors: usize,
}

impl Resets {
    /// Takes in the bytes that HTTP writes next.
    pub(super) fn scan(&mut self, mut bytes: &[u8]) {
        while let Some(part) = self.passing.next(&mut bytes, if self.is_reset { CODE } else { HEAD }) {
            if self.is_reset {
                let [a, b, c, d, ..] = part;
                let code = u32::from_be_bytes([a, b, c, d]);
                self.for_errors += usize::from(!matches!(code, NO_ERROR | INTERNAL_ERROR | CANCEL));
                self.is_reset = false;
            } else if part[3] == RST_STREAM {
                self.is_reset = true;
            } else {
                self.passing.skip = payload_len(part);
            }
        }
    }

    /// How many requests were reset for errors so far.
    pub(super) fn for_errors(&self) -> usize {
        self.for_errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let len = u32::try_from(payload.len()).expect("it is short").to_be_bytes();
        [&len[1..], &[kind, 0], &[0, 0, 0, 1], payload].concat()
    }

    fn reset(code: u32) -> Vec<u8> {
        frame(RST_STREAM, &code.to_be_bytes())
    }

    #[test]
    fn resets_for_errors_are_counted_wherever_the_bytes_are_cut() {
        let looks_like_one = frame(0, &reset(5));
        let codes = [NO_ERROR, INTERNAL_ERROR, CANCEL, 1, 3, 5, 7, 256, 0xffff_ffff];
        let resets = codes.map(reset).concat();
        let bytes = [frame(4, &[0; 6]), looks_like_one, resets, frame(4, &[]), frame(1, &[3; 40]), reset(5)].concat();
        for cut in 0..bytes.len() {
            let mut resets = Resets::default();
            resets.scan(&bytes[..cut]);
            resets.scan(&bytes[cut..]);
            assert_eq!(resets.for_errors(), 7, "{cut}");
        }
        let mut resets = Resets::default();
        bytes.iter().for_each(|byte| resets.scan(&[*byte]));
        assert_eq!(resets.for_errors(), 7);
    }
}
