//! The numbers of a server, from /proc and from its metrics.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use rustix::process::Pid;
use serde::Serialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::sleep,
};

use super::tally::{Latency, Tally};
use crate::Result;

/// The gauges that must be 0 without callers.
const AT_REST: [&str; 6] = [
    "evenkeel_bytes_in_flight",
    "evenkeel_calls_in_flight",
    "evenkeel_calls_unanswered",
    "evenkeel_connections_open",
    "evenkeel_jobs_queued",
    "evenkeel_jobs_running",
];
/// The time in which the server must notice that all callers have left.
const TO_REST: Duration = Duration::from_secs(15);

/// The places of a server's numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    pub(super) pid: Pid,
    metrics: SocketAddr,
}

/// The numbers of one moment, and the times of the calls since the last sample.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Sample {
    /// The time since the traffic began.
    pub(super) second: f64,
    /// The mean since the last sample.
    pub(super) resident_mib: f64,
    pub(super) descriptors: f64,
    pub(super) threads: f64,
    pub(super) in_flight_mib: f64,
    pub(super) pool_mib: f64,
    pub(super) connections: f64,
    pub(super) small: Latency,
    pub(super) large: Latency,
}

/// Every series and its value.
pub(super) type Series = BTreeMap<String, f64>;

impl Watch {
    /// Waits until the server's log has the address of the metrics.
    pub(super) async fn find(pid: Pid, log: &Path) -> Result<Self> {
        let begun = Instant::now();
        loop {
            let text = fs::read_to_string(log)?;
            let address = text.split("serving metrics\",\"address\":\"").nth(1).and_then(|rest| rest.split('"').next());
            if let Some(address) = address {
                return Ok(Self { pid, metrics: address.parse()? });
            }
            if begun.elapsed() > TO_REST {
                return Err(format!("{} does not say where the metrics are", log.display()).into());
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub(super) async fn series(&self) -> Result<Series> {
        let mut stream = TcpStream::connect(self.metrics).await?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (_, text) = answer.split_once("\r\n\r\n").ok_or("the metrics have no body")?;
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .map(|line| {
                let (name, value) = line.rsplit_once(' ').ok_or("a series without a value")?;
                Ok((name.to_owned(), value.parse()?))
            })
            .collect()
    }

    /// `resident_mib`: as in [`Sample`].
    pub(super) async fn sample(
        &self,
        second: f64,
        resident_mib: f64,
        tally: &Tally,
        labels: &mut BTreeSet<String>,
    ) -> Result<Sample> {
        let series = self.series().await?;
        let mib = |name| -> Result<f64> { Ok(gauge(&series, name)? / f64::from(1 << 20)) };
        let [small, large] = tally.window();
        let sample = Sample {
            second,
            resident_mib,
            descriptors: self.descriptors()? as f64,
            threads: fs::read_dir(format!("/proc/{}/task", self.pid))?.count() as f64,
            in_flight_mib: mib("evenkeel_bytes_in_flight")?,
            pool_mib: mib("evenkeel_buffers_kept_bytes")?,
            connections: gauge(&series, "evenkeel_connections_open")?,
            small,
            large,
        };
        labels.extend(series.into_keys());
        Ok(sample)
    }

    /// The number of open files and sockets.
    pub(super) fn descriptors(&self) -> Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.pid))?.count())
    }

    /// Waits until nothing is left of the calls; returns descriptions of the gauges and descriptors that remain.
    pub(super) async fn rest(&self, descriptors: usize) -> Result<Vec<String>> {
        let begun = Instant::now();
        loop {
            let series = self.series().await?;
            let mut left = Vec::new();
            for name in AT_REST {
                let value = gauge(&series, name)?;
                if value != 0.0 {
                    left.push(format!("{name} is {value}"));
                }
            }
            let open = self.descriptors()?;
            // The connection that has just read the metrics may still be open.
            if open > descriptors + 1 {
                left.push(format!("{open} descriptors are open, {descriptors} before the first call"));
            }
            if left.is_empty() || begun.elapsed() > TO_REST {
                return Ok(left);
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// The value of a series.
pub(super) fn gauge(series: &Series, name: &str) -> Result<f64> {
    Ok(*series.get(name).ok_or_else(|| format!("there is no {name}"))?)
}
