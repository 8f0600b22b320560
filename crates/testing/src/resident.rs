//! The memory of a process, as Linux counts it, for every test that watches some.

use std::fs;

/// What it has now (`VmRSS`), or had at most (`VmHWM`), in bytes; `None`: it has ended.
pub fn memory(process: u32, which: &str) -> Option<usize> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(which))?;
    let kib: usize = line.trim_matches([':', '\t', ' ', 'k', 'B']).parse().expect("a number");
    Some(kib << 10)
}
