//! The memory of a process, as Linux counts it.

use std::fs;

/// The resident memory of a process now (`VmRSS`), or at its peak (`VmHWM`), in bytes; `None`: the process has ended.
pub fn memory(process: u32, which: &str) -> Option<usize> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(which))?;
    let kib: usize = line.trim_matches([':', '\t', ' ', 'k', 'B']).parse().expect("a number");
    Some(kib << 10)
}
