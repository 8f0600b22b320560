//! CPU time and memory of a process, by Linux, and the cores that a thread may use.

use std::fs;

use rustix::{
    process::{Pid, setpriority_process},
    thread::{CpuSet, sched_setaffinity},
};

use crate::Result;

/// The core that servers are pinned to.
pub(crate) const SERVER_CORE: &str = "0";
/// The core that the load comes from.
const LOAD_CORE: usize = 1;

/// Pins this thread, and those it starts, to the core that the load comes from.
pub(crate) fn pin_load() -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(LOAD_CORE);
    Ok(sched_setaffinity(None, &cores).map_err(|error| format!("core {LOAD_CORE} is needed for the load: {error}"))?)
}

/// Lowers the priority of this thread.
pub(crate) fn give_way() -> Result<()> {
    Ok(setpriority_process(None, 10)?)
}

/// User and system time of a process so far, in seconds; Linux counts in steps of 10 ms.
pub(crate) fn cpu_seconds(pid: Pid) -> Result<f64> {
    Ok(evenkeel_load::cpu_seconds(u32::try_from(pid.as_raw_nonzero().get())?)?)
}

/// The memory of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Memory {
    /// Resident now.
    Resident,
    /// The most that was ever resident.
    Peak,
}

impl Memory {
    /// In MiB.
    pub(crate) fn of(self, pid: Pid) -> Result<f64> {
        let key = match self {
            Self::Resident => "VmRSS:",
            Self::Peak => "VmHWM:",
        };
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix(key)).ok_or("/proc does not say")?;
        let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib / 1024.0)
    }
}
