//! The CPU time of a process, by Linux.

use std::{fs, io};

use rustix::param::clock_ticks_per_second;

/// User and system time of a process so far, in seconds; Linux counts in steps of 10 ms.
///
/// # Errors
/// There is no such process, or no `/proc`.
pub fn cpu_seconds(pid: u32) -> io::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let broken = || io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat is not as expected"));
    // The program's name, in brackets, may hold spaces.
    let (_, fields) = stat.rsplit_once(')').ok_or_else(broken)?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).ok_or_else(broken);
    Ok((ticks(11)? + ticks(12)?) as f64 / clock_ticks_per_second() as f64)
}
