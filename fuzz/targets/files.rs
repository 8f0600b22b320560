//! Any bytes as a file of tensors: read or refused.

#![no_main]

use evenkeel::cli::{count_npy, count_safetensors};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((first, file)) = data.split_first() else { return };
    let read = if first % 2 == 0 { count_npy } else { count_safetensors };
    if let Ok(elements) = read(file) {
        assert!(elements <= file.len() / 2, "{elements} elements in {} bytes", file.len());
    }
});
