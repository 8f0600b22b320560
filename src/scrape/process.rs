//! The metrics of this process that the system keeps.

use std::fmt;

use procfs::{
    ProcError, ProcResult, WithCurrentSystemInfo as _,
    process::{LimitValue, Process},
};
use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

struct Facts {
    cpu_seconds: f64,
    resident_bytes: u64,
    open_fds: u64,
    max_fds: Option<u64>,
    start_seconds: f64,
}

fn read() -> ProcResult<Facts> {
    let process = Process::myself()?;
    let stat = process.stat()?;
    let per_second = procfs::ticks_per_second() as f64;
    let max_fds = match process.limits()?.max_open_files.soft_limit {
        LimitValue::Value(limit) => Some(limit),
        LimitValue::Unlimited => None,
    };
    let boot_seconds = procfs::boot_time_secs()?;
    Ok(Facts {
        cpu_seconds: (stat.utime + stat.stime) as f64 / per_second,
        resident_bytes: stat.rss_bytes().get(),
        open_fds: process.fd_count()? as u64,
        max_fds,
        start_seconds: boot_seconds as f64 + stat.starttime as f64 / per_second,
    })
}

/// Writes the families that every Prometheus client has; none if `/proc` cannot be read.
pub(super) fn encode(encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let facts = match read() {
        Ok(facts) => facts,
        Err(error) => {
            let error: ProcError = error;
            tracing::debug!(%error, "the metrics of the process cannot be read");
            return Ok(());
        }
    };
    let Facts { cpu_seconds, resident_bytes, open_fds, max_fds, start_seconds } = facts;
    let help = "Processor time of this process, user and system.";
    let cpu = encoder.encode_descriptor("process_cpu_seconds", help, None, MetricType::Counter)?;
    ConstCounter::new(cpu_seconds).encode(cpu)?;
    let gauges = [
        ("process_resident_memory_bytes", "Resident memory of this process.", Some(resident_bytes as f64)),
        ("process_open_fds", "Open file descriptors, including sockets.", Some(open_fds as f64)),
        ("process_max_fds", "The most file descriptors that may be open.", max_fds.map(|fds| fds as f64)),
        ("process_start_time_seconds", "Start time of this process since the Unix epoch.", Some(start_seconds)),
    ];
    for (name, help, value) in gauges {
        if let Some(value) = value {
            ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
    }
    Ok(())
}
