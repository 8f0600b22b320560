//! HTTP/2 frames (RFC 9113), as far as one prepared gRPC call needs them.

/// The bytes of a frame's header.
pub(crate) const HEADER: usize = 9;
/// The largest payload of a frame unless settings allow more.
pub(crate) const DEFAULT_MAX_FRAME: usize = 16_384;
/// The size of windows unless settings change it.
pub(crate) const DEFAULT_WINDOW: i64 = 65_535;
/// The largest window that HTTP/2 allows.
pub(crate) const MAX_WINDOW: i64 = (1 << 31) - 1;
/// The largest payload of a frame that the load accepts.
const MAX_FRAME: u32 = 1 << 20;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// The error of a stream that its client gives up.
pub(crate) const CANCEL: u32 = 8;

/// A flag of DATA and HEADERS.
pub(crate) const END_STREAM: u8 = 1;
/// A flag of SETTINGS and PING.
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const PRIORITY: u8 = 32;

const HEADER_TABLE_SIZE: u16 = 1;
const ENABLE_PUSH: u16 = 2;
pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 3;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;
pub(crate) const MAX_FRAME_SIZE: u16 = 5;

/// The header of a frame, which precedes its payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) len: usize,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
}

impl Header {
    pub(crate) fn parse(bytes: &[u8; HEADER]) -> Self {
        let &[a, b, c, kind, flags, stream @ ..] = bytes;
        let len = u32::from_be_bytes([0, a, b, c]) as usize;
        Self { len, kind, flags, stream: u32::from_be_bytes(stream) & 0x7FFF_FFFF }
    }

    pub(crate) fn write(self, out: &mut Vec<u8>) {
        let Self { len, kind, flags, stream } = self;
        out.extend_from_slice(&(len as u32).to_be_bytes()[1..]);
        out.extend_from_slice(&[kind, flags]);
        out.extend_from_slice(&stream.to_be_bytes());
    }
}

/// Writes a whole frame.
pub(crate) fn write(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    Header { len: payload.len(), kind, flags, stream }.write(out);
    out.extend_from_slice(payload);
}

/// The client's connection preface. It sets frames of 1 MiB, the largest windows, and no HPACK table, so that the same
/// headers always have the same bytes.
pub(crate) fn preface() -> Vec<u8> {
    let settings = [
        (HEADER_TABLE_SIZE, 0),
        (ENABLE_PUSH, 0),
        (INITIAL_WINDOW_SIZE, MAX_WINDOW as u32),
        (MAX_FRAME_SIZE, MAX_FRAME),
    ];
    let payload: Vec<u8> = settings
        .iter()
        .flat_map(|(key, value)| key.to_be_bytes().into_iter().chain(u32::to_be_bytes(*value)))
        .collect();
    let mut out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    write(&mut out, SETTINGS, 0, 0, &payload);
    write(&mut out, WINDOW_UPDATE, 0, 0, &((MAX_WINDOW - DEFAULT_WINDOW) as u32).to_be_bytes());
    out
}

/// The settings of a SETTINGS frame.
pub(crate) fn settings(payload: &[u8]) -> impl Iterator<Item = (u16, u32)> {
    let (settings, _) = payload.as_chunks::<6>();
    settings.iter().map(|&[a, b, c, d, e, f]| (u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_it_is_written() {
        let mut out = Vec::new();
        Header { len: 0x01_02_03, kind: DATA, flags: END_STREAM, stream: 0x0405_0607 }.write(&mut out);
        assert_eq!(out, [1, 2, 3, 0, 1, 4, 5, 6, 7]);
        let Header { len, kind, flags, stream } = Header::parse(&out.try_into().expect("nine bytes"));
        assert_eq!((len, kind, flags, stream), (0x01_02_03, DATA, END_STREAM, 0x0405_0607));
    }

    #[test]
    fn a_setting_is_six_bytes() {
        assert!(settings(&[0, 5, 0, 16, 0, 0]).eq([(MAX_FRAME_SIZE, 1 << 20)]));
    }
}
