//! Two replicas behind a balancer, under load all the time, while one after the other is stopped, killed and held, and
//! while kernels panic.
//!
//! The tests show that no answer is ever wrong; that a replica answers the calls that it has begun before SIGTERM; and
//! that a client that repeats a call without a connection, or without an answer in time, always gets its answer in the
//! end.
//!
//! A single thread of a process cannot be killed from outside without the process. So a panic in a job, on any thread,
//! and the death of the whole process stand for the death of a worker. `tests/service/process.rs` shows stream by
//! stream that a stopping server answers the streams that it has taken, and tells clients that it has not begun the
//! others.

mod balancer;
mod load;
mod panics;
mod replica;
mod signals;

use evenkeel_testing::{environment, pipe, resident, until};

/// Held by each test, since one measures the memory of this process, which has the callers of all.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
