//! The codecs gzip and zstd, step by step.

use std::fmt;

use bytes::{Buf as _, Bytes};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use zstd::zstd_safe::{self, CCtx, CParameter, DCtx, DParameter, InBuffer, OutBuffer, ResetDirective};

use super::{PIECE, SHORT_PIECE};
use crate::config::Encoding;

/// The largest window of gzip: 32 KiB, in bits.
const GZIP_WINDOW: u8 = 15;
/// The largest window of zstd that is accepted: 8 MiB, in bits, which every decoder should take (RFC 8878).
const ZSTD_WINDOW: u32 = 23;
/// The level of either codec, the fastest positive one: higher levels make tensors hardly shorter.
const LEVEL: i32 = 1;

/// The most bytes that gzip reads in a step. A bound on the bytes that are written does not bound a step's time: empty
/// blocks, each with a table of its own, take some 40 ns for each byte, so that a frame of HTTP/2 would take 40 ms.
const GZIP_READ: usize = 8 << 10;
/// The most blocks that zstd reads in a step. A block of 26 bytes with four tables of its own decompresses to nearly
/// nothing in some 16 µs; a usual one of 128 KiB takes some 100 µs.
const ZSTD_BLOCKS: usize = 16;
/// The first bytes that zstd is given: if they are the whole message, it needs no memory for a window; and they hold 40
/// blocks at most.
const FIRST: usize = 1 << 10;

/// The compressed bytes are invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Corrupt;

/// The result of a decoder's step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// The number of bytes that were written.
    pub(super) len: usize,
    /// Whether the message has ended.
    pub(super) ended: bool,
}

/// The result of an encoder's step.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) output: Vec<u8>,
    /// Whether the message has ended.
    pub(super) ended: bool,
}

/// Decompresses one message.
pub(super) enum Decoder {
    Gzip(Box<Decompress>),
    /// `next`: the bytes that it is to be given next, up to the end of a block.
    Zstd {
        decoder: DCtx<'static>,
        next: usize,
    },
}

impl Decoder {
    pub(super) fn new(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Gzip => Self::Gzip(Box::new(Decompress::new_gzip(GZIP_WINDOW))),
            Encoding::Zstd => {
                let mut decoder = DCtx::create();
                decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW)).expect("zstd has such a window");
                Self::Zstd { decoder, next: FIRST }
            }
        }
    }

    /// This decoder, or another of its kind, for a message that follows one that has ended.
    pub(super) fn again(self) -> Self {
        match self {
            // flate2 cannot reset a decoder so that it expects a header again.
            Self::Gzip(_) => Self::new(Encoding::Gzip),
            Self::Zstd { mut decoder, next: _ } => match decoder.reset(ResetDirective::SessionOnly) {
                Ok(_) => Self::Zstd { decoder, next: FIRST },
                Err(_) => Self::new(Encoding::Zstd),
            },
        }
    }

    /// Whether a message that begins with `input` may decompress to no more than a short piece. If zstd's header has a
    /// larger size, the message gets a piece with room for it, and zstd then needs no window of its own.
    pub(super) fn may_become_short(&self, input: &[u8]) -> bool {
        match self {
            Self::Gzip(_) => true,
            Self::Zstd { .. } => match zstd_safe::get_frame_content_size(input) {
                Ok(Some(size)) => size <= SHORT_PIECE as u64,
                Ok(None) => true,
                Err(_) => false,
            },
        }
    }

    /// Decompresses the beginning of `input` into `output`, in a bounded time for any input. If `input` is then empty
    /// and `output` not full, all that `input` decompresses to has been written.
    pub(super) fn step(&mut self, input: &mut Bytes, output: &mut [u8]) -> Result<Written, Corrupt> {
        match self {
            Self::Gzip(decoder) => {
                let before = (decoder.total_in(), decoder.total_out());
                let here = &input[..input.len().min(GZIP_READ)];
                let status = decoder.decompress(here, output, FlushDecompress::None).map_err(|_| Corrupt)?;
                input.advance(since(decoder.total_in(), before.0));
                let ended = status == Status::StreamEnd;
                Ok(Written { len: since(decoder.total_out(), before.1), ended })
            }
            Self::Zstd { decoder, next } => {
                let room = output.len();
                let mut to = OutBuffer::around(output);
                for _ in 0..ZSTD_BLOCKS {
                    let mut from = InBuffer::around(&input[..input.len().min(*next)]);
                    *next = decoder.decompress_stream(&mut to, &mut from).map_err(|_| Corrupt)?;
                    let read = from.pos();
                    input.advance(read);
                    if *next == 0 || input.is_empty() || to.pos() == room {
                        break;
                    }
                }
                Ok(Written { len: to.pos(), ended: *next == 0 })
            }
        }
    }

    /// The memory of the codec itself, in bytes; 0 for gzip, whose memory is too small to count.
    pub(super) fn memory(&self) -> usize {
        match self {
            Self::Gzip(_) => 0,
            Self::Zstd { decoder, next: _ } => decoder.sizeof(),
        }
    }
}

/// Compresses one message.
pub(super) enum Encoder {
    Gzip(Box<Compress>),
    Zstd(CCtx<'static>),
}

impl Encoder {
    pub(super) fn new(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Gzip => {
                Self::Gzip(Box::new(Compress::new_gzip(Compression::new(LEVEL.unsigned_abs()), GZIP_WINDOW)))
            }
            Encoding::Zstd => {
                let mut encoder = CCtx::create();
                encoder.set_parameter(CParameter::CompressionLevel(LEVEL)).expect("zstd has such a level");
                Self::Zstd(encoder)
            }
        }
    }

    /// Compresses from `input`, and writes a piece at most. `is_last`: the message ends with `input`.
    pub(super) fn step(&mut self, input: &mut Bytes, is_last: bool) -> Step {
        let mut output = vec![0; PIECE];
        let (read, written, ended) = match self {
            Self::Gzip(encoder) => {
                let before = (encoder.total_in(), encoder.total_out());
                let flush = if is_last { FlushCompress::Finish } else { FlushCompress::None };
                let status = encoder.compress(input, &mut output, flush).expect("it is fed in order");
                let ended = status == Status::StreamEnd;
                (since(encoder.total_in(), before.0), since(encoder.total_out(), before.1), ended)
            }
            Self::Zstd(encoder) => {
                let (mut from, mut to) = (InBuffer::around(input), OutBuffer::around(&mut output[..]));
                // zstd must not be called with more input once its stream has begun to end.
                if !input.is_empty() {
                    encoder.compress_stream(&mut to, &mut from).expect("it is fed in order");
                }
                let all = is_last && from.pos() == input.len();
                let ended = all && encoder.end_stream(&mut to).expect("it is fed in order") == 0;
                (from.pos(), to.pos(), ended)
            }
        };
        input.advance(read);
        Step { output: cut(output, written), ended }
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decoder")
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encoder")
    }
}

fn since(now: u64, before: u64) -> usize {
    usize::try_from(now - before).expect("a step is short")
}

/// The bytes that were written. A piece of which less than half is filled gives the rest of its memory back.
pub(super) fn cut(mut piece: Vec<u8>, written: usize) -> Vec<u8> {
    let room = piece.len();
    piece.truncate(written);
    if written < room / 2 {
        piece.shrink_to_fit();
    }
    piece
}

#[cfg(test)]
mod tests {
    use evenkeel_testing::tables::{ZSTD_TABLES, gzip_of_tables, zstd_of_tables};

    use super::*;

    const BOTH: [Encoding; 2] = [Encoding::Gzip, Encoding::Zstd];

    /// Bytes of which a third are equal and compress, and the others are pseudo-random.
    fn bytes(len: usize) -> Vec<u8> {
        (0..len as u64)
            .map(|i| if i % 3 == 0 { 7 } else { ((i * i).wrapping_mul(2_654_435_761) >> 13) as u8 })
            .collect()
    }

    fn compressed(encoding: Encoding, bytes: &[u8], feed: usize) -> Vec<u8> {
        let (mut encoder, mut all) = (Encoder::new(encoding), Vec::new());
        let mut rest = Bytes::copy_from_slice(bytes);
        loop {
            let mut input = rest.split_to(rest.len().min(feed));
            loop {
                let Step { output, ended } = encoder.step(&mut input, rest.is_empty());
                assert!(output.len() <= PIECE);
                all.extend_from_slice(&output);
                if ended {
                    return all;
                }
                if input.is_empty() && !rest.is_empty() {
                    break;
                }
            }
        }
    }

    /// The decompressed bytes, whether the message has ended, and the number of bytes that were not read.
    fn decompressed(encoding: Encoding, bytes: &[u8]) -> Result<(Vec<u8>, bool, usize), Corrupt> {
        let (mut decoder, mut all, mut rest) = (Decoder::new(encoding), Vec::new(), Bytes::copy_from_slice(bytes));
        let mut piece = vec![0; PIECE];
        loop {
            let Written { len, ended } = decoder.step(&mut rest, &mut piece)?;
            all.extend_from_slice(&piece[..len]);
            if ended || rest.is_empty() && len < PIECE {
                return Ok((all, ended, rest.len()));
            }
        }
    }

    #[test]
    fn what_was_compressed_comes_back() {
        for encoding in BOTH {
            for len in [0, 1, 100, PIECE - 1, PIECE, PIECE + 1, 1_000_003] {
                for feed in [7000, PIECE, usize::MAX] {
                    let (plain, packed) = (bytes(len), compressed(encoding, &bytes(len), feed));
                    assert!(decompressed(encoding, &packed) == Ok((plain, true, 0)), "{encoding:?} {len} {feed}");
                }
            }
            let zeros = vec![0; 10_000_000];
            let packed = compressed(encoding, &zeros, usize::MAX);
            assert!(packed.len() < 100_000 && decompressed(encoding, &packed) == Ok((zeros, true, 0)));
        }
    }

    #[test]
    fn what_is_cut_off_has_not_ended_and_what_is_changed_is_corrupt() {
        for encoding in BOTH {
            let packed = compressed(encoding, &bytes(200_000), PIECE);
            for end in [0, 1, 5, packed.len() / 2, packed.len() - 1] {
                let ended = decompressed(encoding, &packed[..end]).map(|(_, ended, _)| ended);
                assert_eq!(ended, Ok(false), "{encoding:?} {end}");
            }
            assert_eq!(decompressed(encoding, &[&packed[..], b"more"].concat()).map(|(.., rest)| rest), Ok(4));
            let magic = [&[packed[0] ^ 0xFF][..], &packed[1..]].concat();
            assert_eq!(decompressed(encoding, &magic), Err(Corrupt), "{encoding:?}");
        }
        // gzip has a checksum at its end.
        let mut packed = compressed(Encoding::Gzip, &bytes(1000), PIECE);
        let checksum = packed.len() - 6;
        packed[checksum] ^= 1;
        assert_eq!(decompressed(Encoding::Gzip, &packed), Err(Corrupt));
    }

    /// A frame of zstd that asks for a window of 128 MiB is refused.
    #[test]
    fn windows_have_a_largest_size() {
        let frame = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 17 << 3, 0x01, 0x00, 0x00];
        assert_eq!(decompressed(Encoding::Zstd, &frame), Err(Corrupt));
        let frame = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 13 << 3, 0x01, 0x00, 0x00];
        assert_eq!(decompressed(Encoding::Zstd, &frame), Ok((Vec::new(), true, 0)));
    }

    /// A step with a bound on the written bytes alone would read a mebibyte of these messages, and take 40 ms (gzip)
    /// and 600 ms (zstd).
    #[test]
    fn a_step_reads_little_of_what_makes_nothing() {
        for (encoding, mut rest, most) in [
            (Encoding::Gzip, Bytes::from(gzip_of_tables(90_000)), 8 << 10),
            (Encoding::Zstd, Bytes::from(zstd_of_tables(40_000)), (1 << 10) + 16 * ZSTD_TABLES),
        ] {
            assert!(rest.len() > 1_000_000);
            let mut decoder = Decoder::new(encoding);
            loop {
                let before = rest.len();
                let Written { ended, .. } = decoder.step(&mut rest, &mut [0; PIECE]).expect("it is valid");
                let read = before - rest.len();
                assert!((1..=most).contains(&read), "{encoding:?}: {read} bytes in a step");
                if ended {
                    break;
                }
            }
            assert!(rest.is_empty());
        }
    }
}
