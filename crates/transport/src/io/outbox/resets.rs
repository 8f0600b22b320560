//! Counts the requests of a connection that HTTP/2's library resets for errors of the client.

const HEAD: usize = 9;
/// A frame that resets a request: its head and its error code.
const RESET: usize = HEAD + 4;
const RST_STREAM: u8 = 3;

/// The codes of resets that are no error of the client: the response came before the end of the request, the service failed, and
/// the service gave the request up.
const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;
const CANCEL: u32 = 8;

/// Finds resets among the frames that HTTP writes.
#[derive(Debug, Default)]
pub(super) struct Resets {
    /// So many bytes are skipped first.
    skip: usize,
    /// The head, or the whole reset, as far as its bytes have come.
    part: [u8; RESET],
    len: usize,
    for_errors: usize,
}

impl Resets {
    /// Takes in the bytes that HTTP writes next.
    pub(super) fn scan(&mut self, mut bytes: &[u8]) {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let is_reset = self.len >= HEAD && self.part[3] == RST_STREAM;
            let whole = if is_reset { RESET } else { HEAD };
            let more = bytes.len().min(whole - self.len);
            self.part[self.len..self.len + more].copy_from_slice(&bytes[..more]);
            self.len += more;
            bytes = &bytes[more..];
            if self.len < whole {
                return;
            }
            let [a, b, c, kind, _, _, _, _, _, code @ ..] = self.part;
            if is_reset {
                self.len = 0;
                self.for_errors += usize::from(!matches!(u32::from_be_bytes(code), NO_ERROR | INTERNAL_ERROR | CANCEL));
            } else if kind != RST_STREAM {
                self.len = 0;
                self.skip = u32::from_be_bytes([0, a, b, c]) as usize;
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
