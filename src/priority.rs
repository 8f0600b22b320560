//! The priority of compute threads, which matters while more threads can run than there are cores.
//!
//! A thread that serves has many short calls to answer; one that computes works on a single long call. With the same
//! priority the scheduler lets each of them run for milliseconds, and short calls wait that long for the long ones.

#[cfg(target_os = "linux")]
use rustix::process::{getpriority_process, setpriority_process};

/// Linux's largest nice value.
pub const MAX_NICE: u8 = 19;

/// Lets other threads of this process run before this one; `nice` says by how much, from 0 to 19.
///
/// Only Linux has this for threads; elsewhere it would be for the whole process, and nothing is done.
pub(crate) fn give_way(nice: u8) {
    #[cfg(target_os = "linux")]
    if let Err(error) = lower(nice.into()) {
        // A sandbox may forbid the change. Without it, short calls only wait longer.
        tracing::warn!(%error, nice, "a compute thread keeps its priority");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = nice;
}

/// Lowers the priority of the calling thread, from what the process was started with.
#[cfg(target_os = "linux")]
fn lower(nice: i32) -> rustix::io::Result<()> {
    let now = getpriority_process(None)?;
    setpriority_process(None, (now + nice).min(i32::from(MAX_NICE)))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_gives_way_and_the_others_do_not() {
        // The tests may run with any priority.
        let before = getpriority_process(None).expect("everyone may ask");
        let own = std::thread::spawn(|| {
            give_way(7);
            getpriority_process(None).expect("everyone may ask")
        });
        assert_eq!(own.join().expect("it does not panic"), (before + 7).min(i32::from(MAX_NICE)));
        assert_eq!(getpriority_process(None).expect("everyone may ask"), before);
    }
}
