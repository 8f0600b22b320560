//! The parts of frames that are read while all of their bytes pass: heads, and the short payloads that matter.

/// The length of a frame's head, in bytes. No other part that is read is longer.
pub(super) const HEAD: usize = 9;

/// Puts parts together, however their bytes are cut, and skips the bytes between them.
#[derive(Debug, Default)]
pub(super) struct Passing {
    /// So many bytes are skipped before the next part.
    pub(super) skip: usize,
    /// The next part, as far as its bytes have come.
    part: [u8; HEAD],
    filled: usize,
}

impl Passing {
    /// Takes the bytes of the next part, and those before it, off `bytes`. Returns the part of `len` bytes, with any bytes behind them;
    /// `None` if more bytes must come.
    pub(super) fn next(&mut self, bytes: &mut &[u8], len: usize) -> Option<[u8; HEAD]> {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        *bytes = &bytes[skipped..];
        let (more, rest) = bytes.split_at(bytes.len().min(len - self.filled));
        self.part[self.filled..self.filled + more.len()].copy_from_slice(more);
        self.filled += more.len();
        *bytes = rest;
        if self.filled < len {
            return None;
        }
        self.filled = 0;
        Some(self.part)
    }
}

/// The length of a frame's payload, in bytes.
pub(super) fn payload_len([a, b, c, ..]: [u8; HEAD]) -> usize {
    u32::from_be_bytes([0, a, b, c]) as usize
}
