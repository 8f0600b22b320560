//! The latencies as a table for other programs.

use std::io::{self, Write};

use super::report::Report;

/// Writes each latency that occurs, to three digits, with how often it does and the part of calls that are not slower.
pub(super) fn write(report: &Report, to: &mut dyn Write) -> io::Result<()> {
    writeln!(to, "latency_ns,count,not_slower")?;
    let Some(latencies) = &report.latencies else { return Ok(()) };
    let (mut counted, all) = (0, latencies.count());
    for (latency, count) in latencies.recorded() {
        counted += count;
        writeln!(to, "{},{count},{}", latency.as_nanos(), counted as f64 / all as f64)?;
    }
    Ok(())
}
