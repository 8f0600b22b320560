//! NumPy's Philox4x64-10 stream.
