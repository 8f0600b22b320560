//! Two replicas behind a balancer, under load all the time, while one after the other is stopped, killed and held, and
//! while kernels panic.
//!
//! What is shown: no answer is ever wrong; a call that a replica has begun before SIGTERM is answered by it; and a
//! client that asks again when there is no connection, or no answer in time, always gets its answer in the end.
//!
//! A single thread of a process cannot be killed from outside without the process. What stands for the death of a worker
//! is a panic in its job, whichever thread has it, and the death of the whole process. That a stream which a stopping
//! server has taken is answered, and that every other is told that it was not begun, `tests/service/process.rs` shows
//! stream by stream.

mod balancer;
mod load;
mod panics;
mod replica;
mod signals;

use evenkeel_testing::{environment, pipe, resident, until};

/// Held by each test: one looks at the memory of this process, where the callers of all are.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
