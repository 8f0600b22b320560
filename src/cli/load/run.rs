//! Makes the calls of a load.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use evenkeel_load::{Connection, Pace, Reference, Until, Worker, cpu_seconds};
use serde::Serialize;
use tokio::{sync::watch, task::JoinSet};

use super::{
    plan::Plan,
    tally::{Shared, Tally},
    target::Process,
};
use crate::cli::error::Error;

/// The reason why a load has ended, as ghz names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum EndReason {
    /// All calls were made.
    Normal,
    /// Its time has passed.
    Timeout,
    /// A signal.
    Cancel,
    /// All connections were lost, and the server takes no others.
    Disconnected,
}

/// A load that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) tally: Tally,
    pub(super) pace: Arc<Pace>,
    pub(super) end_reason: EndReason,
    pub(super) date: SystemTime,
    pub(super) unfinished: u64,
    pub(super) lost_connections: u64,
    pub(super) server: Process,
    pub(super) server_seconds: Option<f64>,
    pub(super) own_seconds: Option<f64>,
    /// Of an open loop: the most calls that waited, and those that were never begun.
    pub(super) behind: Option<(u64, u64)>,
}

/// The end of the calls of a connection.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    in_flight: usize,
    lost: u64,
    is_disconnected: bool,
}

/// Connects and makes the calls, until they are made or `stop` is true.
///
/// # Errors
/// A connection cannot be opened before the first call.
pub(super) async fn run(plan: &Plan, stop: &watch::Receiver<bool>) -> Result<Ended, Error> {
    let reference = Reference::first(plan.compares_bytes);
    let mut connections = Vec::with_capacity(plan.connections);
    for _ in 0..plan.connections {
        let connecting = tokio::time::timeout(PATIENCE, dial(plan, &reference));
        let connection = tokio::select! {
            connection = connecting => connection,
            () = stopped(stop.clone()) => return Err(Error::Load("interrupted before the first call".to_owned())),
        };
        let silent = || Error::Silent { url: plan.target.to_string(), waited: PATIENCE.into() };
        let refuse = |lost| Error::Load(format!("{}: cannot connect: {lost}", plan.target));
        connections.push(connection.map_err(|_| silent())?.map_err(refuse)?);
    }
    let server = match plan.server_pid {
        Some(pid) => Process::Given(pid),
        None => plan.target.process().await,
    };
    let server_time = || server.pid().and_then(|pid| cpu_seconds(pid).ok());
    if let (Process::Given(pid), None) = (&server, server_time()) {
        return Err(Error::usage("--server-pid", format!("there is no process {pid} whose CPU time can be read")));
    }
    let own_time = || cpu_seconds(std::process::id()).ok();
    #[expect(clippy::disallowed_methods, reason = "a report has its date, and nothing is measured by it")]
    let date = SystemTime::now();
    let before = (server_time(), own_time());

    let pace = Arc::new(match &plan.schedule {
        Some(schedule) => Pace::open(schedule.clone(), plan.until.clone()),
        None => Pace::closed(plan.until.clone()),
    });
    let shared = Shared::new(pace.began(), plan.counts_errors);
    let mut workers = JoinSet::new();
    for (index, connection) in connections.into_iter().enumerate() {
        let share = plan.concurrency / plan.connections + usize::from(index < plan.concurrency % plan.connections);
        let worker = Worker::new(Arc::clone(&pace), share, shared.clone());
        workers.spawn(work(connection, worker, plan.clone(), reference.clone(), stop.clone()));
    }
    let mut all = Done::default();
    let mut disconnected = 0;
    while let Some(done) = workers.join_next().await {
        let Done { in_flight, lost, is_disconnected } =
            done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        all.in_flight += in_flight;
        all.lost += lost;
        disconnected += usize::from(is_disconnected);
    }
    let ended = Instant::now();
    let spent = |before: Option<f64>, after: Option<f64>| Some(after? - before?);
    let end_reason = match plan.until {
        _ if *stop.borrow() => EndReason::Cancel,
        _ if disconnected == plan.connections => EndReason::Disconnected,
        Until::Elapsed(_) => EndReason::Timeout,
        Until::Calls(_) | Until::Stopped(_) => EndReason::Normal,
    };
    let tally = shared.tally().clone();
    Ok(Ended {
        tally,
        end_reason,
        date,
        unfinished: all.in_flight as u64,
        lost_connections: all.lost,
        server_seconds: spent(before.0, server_time()),
        own_seconds: spent(before.1, own_time()),
        behind: plan.schedule.is_some().then(|| (pace.behind(), pace.untaken(ended))),
        server,
        pace,
    })
}

/// How long the server may take to speak HTTP/2 on a new connection.
const PATIENCE: Duration = Duration::from_secs(10);

async fn dial(plan: &Plan, reference: &Reference) -> Result<Connection, evenkeel_load::Lost> {
    plan.target.connect(Arc::clone(&plan.request), reference.clone()).await
}

/// Makes the calls of one connection; if the server ends it, those of the next one.
async fn work(
    mut connection: Connection,
    mut worker: Worker<Shared>,
    plan: Plan,
    reference: Reference,
    stop: watch::Receiver<bool>,
) -> Done {
    let mut done = Done::default();
    loop {
        let ran = tokio::select! {
            ran = connection.run(&mut worker) => ran,
            () = stopped(stop.clone()) => {
                done.in_flight += connection.in_flight();
                return done;
            }
        };
        let Err(lost) = ran else { return done };
        done.lost += 1;
        if !worker.goes_on() {
            return done;
        }
        let dialled = tokio::select! {
            dialled = tokio::time::timeout(PATIENCE, dial(&plan, &reference)) => dialled,
            () = stopped(stop.clone()) => return done,
        };
        match dialled {
            Ok(Ok(next)) => connection = next,
            Ok(Err(reason)) => {
                worker.record.tally().error(format!("{lost}, and no other connection can be made: {reason}"));
                done.is_disconnected = true;
                return done;
            }
            Err(_) => {
                worker.record.tally().error(format!("{lost}, and on another connection the server says nothing"));
                done.is_disconnected = true;
                return done;
            }
        }
    }
}

/// Completes when the load is to stop.
async fn stopped(mut stop: watch::Receiver<bool>) {
    // The sender is there as long as the command.
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending().await
    }
}
