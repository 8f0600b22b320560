//! The `evenkeel` binary.
//!
//! All of the program is in the library, so that it is compiled once: what is generic or asynchronous would be compiled again for
//! the binary that calls it.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Frames of a request are as large as the client makes them, and come and go with each call. The system's allocator
/// gives such memory back to the system and takes it again, so that every call touches its pages for the first time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    evenkeel::run_program()
}
