//! Bytes that own something beside their memory, such as a reservation.

use bytes::Bytes;

/// Returns the same bytes, which own `owned` until the last slice of them is dropped.
pub(crate) fn owning<T: Send + 'static>(bytes: Bytes, owned: T) -> Bytes {
    Bytes::from_owner(Owning { bytes, _owned: owned })
}

struct Owning<T> {
    bytes: Bytes,
    _owned: T,
}

impl<T> AsRef<[u8]> for Owning<T> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn the_last_slice_drops_what_the_bytes_own() {
        let owned = Arc::new(());
        let bytes = owning(Bytes::from_static(b"bytes"), Arc::clone(&owned));
        let last = bytes.slice(4..);
        drop(bytes);
        assert_eq!((&last[..], Arc::strong_count(&owned)), (&b"s"[..], 2));
        drop(last);
        assert_eq!(Arc::strong_count(&owned), 1);
    }
}
