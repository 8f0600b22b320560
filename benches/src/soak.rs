//! Mixed traffic for minutes, which fails if anything grows or a response is wrong.
//!
//! A reference server gives the response to every request once, on one thread, through tonic's codec. The other server
//! is soaked: callers connect and disconnect, set short deadlines, leave, stall, send invalid requests, and send more
//! than the budget has room for. Their responses are compared bit by bit with those of the reference. Once a second the
//! soak reads memory, descriptors, threads and the metrics.

mod catalogue;
mod growth;
mod known;
mod peer;
mod tally;
mod traffic;
mod verdict;
mod watch;

use std::{
    collections::BTreeSet,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use clap::ValueEnum;
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};

use self::{
    catalogue::MAX_MESSAGE_BYTES,
    known::Answered,
    tally::{Outcome, Tally},
    traffic::Traffic,
    verdict::Verdict,
    watch::{Sample, Watch},
};
use crate::{Result, cli::SoakArgs, process::Memory, server::Server};

/// The budget of bytes in flight: three large calls, and small ones beside them.
const BUDGET: usize = 4 * MAX_MESSAGE_BYTES;
/// The most bytes that the buffer pool may keep.
const POOL: usize = 2 * MAX_MESSAGE_BYTES;
/// The server runs on both cores, as an operator would run it; the callers use the same cores.
const CORES: &str = "0,1";

/// How often memory is read in a second: it rises and falls with each call, which a mean evens out, but not a leak.
const LOOKS: u32 = 20;

/// A fault on purpose, which the soak must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fault {
    /// A client opens more and more connections and keeps them, as if the server did not close them.
    Hoard,
    /// A bit of a reference response is flipped, as if the server's response had changed.
    Flip,
}

/// The record for the report.
#[derive(Debug, Serialize)]
struct SoakRecord {
    seconds: u64,
    warm_up_seconds: u64,
    cores: usize,
    requests: usize,
    calls: Vec<(Outcome, u64)>,
    verdict: Verdict,
    samples: Vec<Sample>,
}

pub(crate) fn run(arguments: &SoakArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(soak(arguments))
}

async fn soak(arguments: &SoakArgs) -> Result<()> {
    let SoakArgs { place, seconds, fault } = arguments;
    let limit = format!("--max-message-bytes={MAX_MESSAGE_BYTES}");
    let reference = ["--listen=127.0.0.1:0", "--log-level=warn", "--threads=1", "--codec-path", &limit];
    let reference = Server::evenkeel_with("soak-reference", CORES, &reference, place)?;
    let mut answered = Answered::by(reference.address).await?;
    drop(reference);
    if *fault == Some(Fault::Flip) {
        answered.spoil();
    }
    let requests = answered.len();

    let [budget, pool] = [format!("--max-bytes-in-flight={BUDGET}"), format!("--buffer-pool-bytes={POOL}")];
    let flags = ["--listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0", "--log-format=json"];
    // A line for each call would fill the disk.
    let flags = [&flags[..], &["--log-level=warn,evenkeel::server=info", &limit, &budget, &pool]].concat();
    let server = Server::evenkeel_with("soak", CORES, &flags, place)?;
    let watch = Watch::find(server.pid(), &place.records.join("soak.log")).await?;
    let (descriptors, before) = (watch.descriptors()?, watch.series().await?);

    let traffic = Traffic { server: server.address, answered, tally: Tally::default(), stop: AtomicBool::new(false) };
    let traffic = Arc::new(traffic);
    let (mut callers, stalling) = traffic.start();
    let hoard =
        (*fault == Some(Fault::Hoard)).then(|| tokio::spawn(traffic::hoard(server.address, Arc::clone(&traffic))));
    println!("soaking for {seconds} s: {requests} requests, answers compared bit by bit");
    let (begun, mut samples, mut labels) = (Instant::now(), Vec::new(), BTreeSet::new());
    let mut ticks = interval(Duration::from_secs(1) / LOOKS);
    // After a pause of the machine, missed ticks are skipped.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    while begun.elapsed() < Duration::from_secs(*seconds) {
        let mut resident = 0.0;
        for _ in 0..LOOKS {
            ticks.tick().await;
            resident += Memory::Resident.of(server.pid())? / f64::from(LOOKS);
        }
        samples.push(watch.sample(begun.elapsed().as_secs_f64(), resident, &traffic.tally, &mut labels).await?);
    }
    traffic.stop.store(true, Ordering::Relaxed);
    stalling.abort();
    while callers.join_next().await.is_some() {}
    let left = watch.rest(descriptors).await?;
    let after = watch.series().await?;
    // The hoard stops only here, so that its connections are still open when the rest is measured.
    if let Some(hoard) = hoard {
        hoard.abort();
    }
    let ended = server.stop()?;

    let outcomes = traffic.tally.outcomes();
    let warm_up_seconds = (seconds / 3).min(60);
    let new_labels = labels.into_iter().filter(|series| !before.contains_key(series)).collect();
    let verdict = Verdict::new()
        .failures(traffic.tally.failures())
        .outcomes(&outcomes)
        .growth(samples.iter().filter(|sample| sample.second > warm_up_seconds as f64))
        .labels(new_labels)
        .rest(left)
        .numbers(&after, POOL)?
        .exit(ended);
    let record = SoakRecord {
        seconds: *seconds,
        warm_up_seconds,
        cores: std::thread::available_parallelism()?.get(),
        requests,
        calls: outcomes.into_iter().collect(),
        verdict,
        samples,
    };
    fs::write(place.records.join("soak.json"), serde_json::to_vec_pretty(&record)?)?;
    record.verdict.print();
    if record.verdict.is_good() { Ok(()) } else { Err("the server did not stay as it was".into()) }
}
