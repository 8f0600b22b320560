//! Compressed messages that consist of tables: a decoder must build all of them, and produces almost no output.

/// The bytes of one block of [`zstd_of_tables`].
pub const ZSTD_TABLES: usize = 26;

/// gzip of no bytes, in this many blocks and up to 7 more, of 91 bits each: the codes of 257 literals, and the end of the block.
pub fn gzip_of_tables(blocks: usize) -> Vec<u8> {
    // Not the last block, with codes of its own. The lengths of the codes of lengths are 1 for 18 (many zeros) and for 1. So
    // literal 0 has a code of 1 bit, 255 literals have none, and the end of the block and the one distance have 1 bit.
    let lengths = format!("000000100{}100", "000".repeat(14));
    let block = format!("0 01 00000 00000 0111 {lengths} 0 11111111 10101011 0 0 1").replace(' ', "");
    // Eight blocks fill whole bytes.
    let bits = block.repeat(8).into_bytes();
    let byte = |bits: &[u8]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | (bit - b'0'));
    let eight: Vec<u8> = bits.chunks(8).map(byte).collect();
    let header = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255];
    // An empty last block, the checksum and the length.
    let end = [3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    [&header[..], &eight.repeat(blocks.div_ceil(8)), &end].concat()
}

/// zstd of 8 bytes, and of 4 for each of so many blocks.
pub fn zstd_of_tables(blocks: usize) -> Vec<u8> {
    // A window of 2 MiB, and a block of 8 bytes as they are, for the others to repeat.
    let begin = [&[0x28, 0xB5, 0x2F, 0xFD, 0, 11 << 3][..], &[8 << 3, 0, 0], b"abcdefgh"].concat();
    let block: [u8; ZSTD_TABLES] = [
        &[23 << 3 | 2 << 1, 0, 0][..],
        // One literal in 8 bytes: Huffman weights from 11 to 1, so that the table is as large as it may be, and the code.
        &[0x12, 0x00, 0x02, 127 + 11, 0xBA, 0x98, 0x76, 0x54, 0x32, 0x10, 3],
        // One sequence, and the tables of FSE for lengths of literals, offsets and lengths of matches, of one symbol each.
        &[1, 0b1010_1000, 0xF4, 0x3F, 0xF3, 0x1F, 0xF4, 0x3F],
        // The first states.
        &[0, 0, 0, 4],
    ]
    .concat()
    .try_into()
    .expect("it is so long");
    [begin, block.repeat(blocks), vec![1, 0, 0]].concat()
}
