//! The report as text, in the order that ghz has.

use std::fmt::{self, Write as _};

use super::{
    report::{Cpu, Percentile, Report},
    scale::{digits, time},
};
use crate::cli::text;

/// The columns of the longest bar.
const BAR: f64 = 40.0;

pub(super) fn text(report: &Report) -> String {
    let mut text = String::new();
    write(report, &mut text).expect("a string takes everything");
    text
}

fn write(report: &Report, to: &mut String) -> fmt::Result {
    writeln!(to, "Summary:")?;
    if !report.name.is_empty() {
        writeln!(to, "  Name:          {}", text::name(&report.name))?;
    }
    writeln!(to, "  Count:         {}", report.count)?;
    for (name, nanoseconds) in [
        ("Total:", report.total),
        ("Slowest:", report.slowest),
        ("Fastest:", report.fastest),
        ("Average:", report.average),
    ] {
        writeln!(to, "  {name:<13}  {}", time(nanoseconds))?;
    }
    writeln!(to, "  Requests/sec:  {}", digits(report.rps))?;
    if report.unfinished > 0 {
        writeln!(to, "  Unfinished:    {} calls, when the load was interrupted", report.unfinished)?;
    }
    if report.lost_connections > 0 {
        writeln!(to, "  Connections:   {} lost before the end", report.lost_connections)?;
    }

    let most = report.histogram.iter().map(|interval| interval.count).max().unwrap_or(0).max(1);
    writeln!(to, "\nResponse time histogram:")?;
    for interval in &report.histogram {
        let bar = "∎".repeat((interval.count as f64 / most as f64 * BAR).round() as usize);
        let mark = time((interval.mark * 1e9).round() as u64);
        writeln!(
            to,
            "  {mark:>8} [{}]{}|{bar}",
            interval.count,
            " ".repeat(width(most).saturating_sub(width(interval.count)) + 1)
        )?;
    }
    writeln!(to, "\nLatency distribution:")?;
    percentiles(report.latency_distribution.iter().chain(&report.latency_tail), to)?;
    if let Some(open) = &report.open_loop {
        writeln!(to, "  from the time at which calls were due; from their beginning:")?;
        percentiles(&open.from_beginning, to)?;
        writeln!(to, "\nBacklog:")?;
        writeln!(to, "  {} calls at most were due and had not begun", open.most_waiting)?;
        if open.never_begun > 0 {
            writeln!(to, "  {} calls were due and never begun: the server does not take this rate", open.never_begun)?;
        }
    }

    writeln!(to, "\nStatus code distribution:")?;
    for (code, count) in &report.status_code_distribution {
        let s = if *count == 1 { "" } else { "s" };
        writeln!(to, "  [{code}]  {count} response{s}")?;
    }
    if !report.error_distribution.is_empty() {
        writeln!(to, "\nError distribution:")?;
        for (error, count) in &report.error_distribution {
            writeln!(to, "  [{count}]  {}", text::message(error).replace('\n', " "))?;
        }
    }
    writeln!(to, "\nCPU time:")?;
    cpu("server", &report.server_cpu, to)?;
    cpu("load", &report.load_cpu, to)
}

fn percentiles<'a>(percentiles: impl IntoIterator<Item = &'a Percentile>, to: &mut String) -> fmt::Result {
    for Percentile { percentage, latency } in percentiles {
        writeln!(to, "  {percentage:>6} % in {}", time(*latency))?;
    }
    Ok(())
}

fn cpu(name: &str, cpu: &Cpu, to: &mut String) -> fmt::Result {
    let Cpu { pid, known_by, seconds, microseconds_per_call } = cpu;
    match (pid, seconds, microseconds_per_call) {
        (Some(pid), Some(seconds), Some(each)) => {
            let each = time((each * 1e3).round() as u64);
            writeln!(to, "  {name}: {each} a call, {seconds:.2} s in all (process {pid}, by {known_by})")
        }
        (Some(pid), _, _) => writeln!(to, "  {name}: not known (process {pid}, by {known_by})"),
        (None, _, _) => writeln!(to, "  {name}: {known_by}"),
    }
}

fn width(count: u64) -> usize {
    count.to_string().len()
}
