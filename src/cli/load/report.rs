//! What a load has measured, with ghz's names where ghz has the same.

use std::{collections::BTreeMap, time::Duration};

use evenkeel_load::{Latencies, code_name};
use serde::Serialize;
use serde_json::Number;

use super::{
    plan::Plan,
    run::{EndReason, Ended},
    tally::Tally,
    target::Process,
};

/// The percentages that ghz has.
const PERCENTAGES: [u32; 7] = [10, 25, 50, 75, 90, 95, 99];
/// Those beyond, which ghz's own reader of reports would not take among the others.
const TAIL: [f64; 3] = [99.9, 99.99, 99.999];
/// The intervals of the histogram, as many as ghz has.
const INTERVALS: u32 = 10;

/// The report of a load. All times are in nanoseconds, except where a name has another unit.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    pub(super) name: String,
    pub(super) end_reason: EndReason,
    pub(super) date: String,
    pub(super) options: BTreeMap<&'static str, serde_json::Value>,
    /// The calls that have ended.
    pub(super) count: u64,
    pub(super) total: u64,
    pub(super) average: u64,
    pub(super) fastest: u64,
    pub(super) slowest: u64,
    /// Calls that have ended, per second.
    pub(super) rps: f64,
    pub(super) error_distribution: BTreeMap<String, u64>,
    pub(super) status_code_distribution: BTreeMap<&'static str, u64>,
    pub(super) latency_distribution: Vec<Percentile>,
    /// In seconds, as ghz has it.
    pub(super) histogram: Vec<Interval>,
    pub(super) latency_tail: Vec<Percentile>,
    /// Answers with status 0 that differ from the first one.
    pub(super) wrong_answers: u64,
    /// Calls that were begun and had not ended when the load was interrupted.
    pub(super) unfinished: u64,
    /// Connections that ended before the load did.
    pub(super) lost_connections: u64,
    pub(super) bytes: Bytes,
    /// Only of an open loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) open_loop: Option<OpenLoop>,
    pub(super) server_cpu: Cpu,
    pub(super) load_cpu: Cpu,
    pub(super) timeline: Vec<Moment>,
    #[serde(skip)]
    pub(super) latencies: Option<Latencies>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Percentile {
    pub(super) percentage: Number,
    pub(super) latency: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Interval {
    /// The end of the interval, in seconds.
    pub(super) mark: f64,
    pub(super) count: u64,
    /// The part of all.
    pub(super) frequency: f64,
}

/// Bytes of messages, with their prefixes.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Bytes {
    pub(super) request: u64,
    pub(super) received: u64,
}

/// How far a load was behind its schedule.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OpenLoop {
    /// The most calls that were due at once and had not begun: others were in flight, or the load itself was late.
    pub(super) most_waiting: u64,
    /// Calls that were due before the end and were never begun. No latency has them.
    pub(super) never_begun: u64,
    /// The latencies from the moment that calls were begun, as a closed loop has them.
    pub(super) from_beginning: Vec<Percentile>,
}

/// CPU time, by Linux in steps of 10 ms.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cpu {
    pub(super) pid: Option<u32>,
    /// How the process is known, or why it is not.
    pub(super) known_by: String,
    pub(super) seconds: Option<f64>,
    pub(super) microseconds_per_call: Option<f64>,
}

/// The calls that were due in an interval of the load.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Moment {
    /// The end of the interval, from the beginning of the load, in seconds.
    pub(super) seconds: f64,
    pub(super) count: u64,
    pub(super) failed: u64,
    pub(super) median: u64,
    pub(super) p99: u64,
    pub(super) slowest: u64,
    /// The rate of an open loop there, in calls per second.
    pub(super) rate: Option<f64>,
}

impl Report {
    pub(super) fn new(plan: &Plan, ended: Ended) -> Self {
        let Ended {
            tally, end_reason, date, unfinished, lost_connections, server, server_seconds, own_seconds, ..
        } = &ended;
        let Tally { latencies, codes, errors, .. } = tally;
        let calls = tally.calls;
        let seconds = tally.lasted.as_secs_f64();
        let mut status_codes: BTreeMap<&'static str, u64> = BTreeMap::new();
        for (code, count) in codes {
            *status_codes.entry(code_name(*code)).or_default() += count;
        }
        let (pid, known_by) = match server {
            Process::Given(pid) => (Some(*pid), "--server-pid".to_owned()),
            Process::Found(pid) => (Some(*pid), "the socket that it listens on".to_owned()),
            Process::Unknown(reason) => (None, format!("not known: {reason}")),
        };
        Self {
            name: plan.name.clone(),
            end_reason: *end_reason,
            date: humantime::format_rfc3339_millis(*date).to_string(),
            options: plan.options.clone(),
            count: calls,
            total: nanoseconds(tally.lasted),
            average: nanoseconds(latencies.mean()),
            fastest: nanoseconds(latencies.shortest()),
            slowest: nanoseconds(latencies.longest()),
            rps: if seconds > 0.0 { calls as f64 / seconds } else { 0.0 },
            error_distribution: errors.clone(),
            status_code_distribution: status_codes,
            latency_distribution: distribution(latencies),
            histogram: histogram(latencies),
            latency_tail: tail(latencies),
            wrong_answers: tally.wrong,
            unfinished: *unfinished,
            lost_connections: *lost_connections,
            bytes: Bytes { request: plan.request.body_len() as u64, received: tally.received },
            open_loop: ended.open_loop(),
            server_cpu: Cpu::new(pid, known_by, *server_seconds, calls),
            load_cpu: Cpu::new(Some(std::process::id()), "this process".to_owned(), *own_seconds, calls),
            timeline: ended.timeline(),
            latencies: Some(latencies.clone()),
        }
    }

    /// Whether every answer that came was like the first one, and one came at least.
    pub(super) fn is_right(&self) -> bool {
        self.wrong_answers == 0 && self.status_code_distribution.contains_key("OK")
    }
}

impl Ended {
    fn open_loop(&self) -> Option<OpenLoop> {
        let (most_waiting, never_begun) = self.behind?;
        let mut from_beginning = distribution(&self.tally.from_beginning);
        from_beginning.extend(tail(&self.tally.from_beginning));
        Some(OpenLoop { most_waiting, never_begun, from_beginning })
    }

    fn timeline(&self) -> Vec<Moment> {
        let timeline = &self.tally.timeline;
        let width = timeline.width();
        let bins = timeline.bins().iter().enumerate();
        bins.map(|(index, bin)| {
            let latencies = &bin.latencies;
            let ends = width * (index as u32 + 1);
            Moment {
                seconds: ends.as_secs_f64(),
                count: latencies.count(),
                failed: bin.failed,
                median: nanoseconds(latencies.percentile(50.0)),
                p99: nanoseconds(latencies.percentile(99.0)),
                slowest: nanoseconds(latencies.longest()),
                rate: self.pace.rate(ends - width / 2),
            }
        })
        .collect()
    }
}

impl Cpu {
    fn new(pid: Option<u32>, known_by: String, seconds: Option<f64>, calls: u64) -> Self {
        let microseconds_per_call = seconds.filter(|_| calls > 0).map(|seconds| seconds * 1e6 / calls as f64);
        Self { pid, known_by, seconds, microseconds_per_call }
    }
}

fn distribution(latencies: &Latencies) -> Vec<Percentile> {
    if latencies.count() == 0 {
        return Vec::new();
    }
    let percentile = |percentage: u32| Percentile {
        percentage: percentage.into(),
        latency: nanoseconds(latencies.percentile(percentage.into())),
    };
    PERCENTAGES.map(percentile).into()
}

/// The percentages beyond ghz's that so many calls tell something about.
fn tail(latencies: &Latencies) -> Vec<Percentile> {
    let is_told = |percentage: &&f64| latencies.count() as f64 * (100.0 - **percentage) >= 100.0;
    let percentile = |percentage: &f64| {
        let latency = nanoseconds(latencies.percentile(*percentage));
        Some(Percentile { percentage: Number::from_f64(*percentage)?, latency })
    };
    TAIL.iter().filter(is_told).filter_map(percentile).collect()
}

/// The first mark is the fastest call and the last one the slowest, as ghz has it.
fn histogram(latencies: &Latencies) -> Vec<Interval> {
    let all = latencies.count();
    if all == 0 {
        return Vec::new();
    }
    let (fastest, slowest) = (latencies.shortest(), latencies.longest());
    let width = (slowest - fastest) / INTERVALS;
    let (mut from, mut counted) = (Duration::ZERO, 0);
    (0..=INTERVALS)
        .map(|index| {
            let mark = if index == INTERVALS { slowest } else { fastest + width * index };
            let count = if index == INTERVALS { all - counted } else { latencies.between(from, mark) };
            counted += count;
            from = mark;
            Interval { mark: mark.as_secs_f64(), count, frequency: count as f64 / all as f64 }
        })
        .collect()
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_in_one_interval() {
        let mut latencies = Latencies::new(3);
        assert!(histogram(&latencies).is_empty() && distribution(&latencies).is_empty());
        for microseconds in 1..=5000 {
            latencies.add(Duration::from_micros(microseconds));
        }
        let intervals = histogram(&latencies);
        assert_eq!((intervals.len(), intervals.iter().map(|it| it.count).sum::<u64>()), (11, 5000));
        assert!(intervals[1..].iter().all(|it| (480..=520).contains(&it.count)), "{intervals:?}");
        assert_eq!(tail(&latencies).len(), 1, "of 5000 calls, five are above 99.9 percent");
        // A single latency has no width.
        let mut same = Latencies::new(3);
        (0..7).for_each(|_| same.add(Duration::from_millis(1)));
        assert_eq!(histogram(&same).iter().map(|it| it.count).sum::<u64>(), 7);
    }
}
