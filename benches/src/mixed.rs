//! Small calls beside large ones: whether tensors of 64 MiB delay other calls.
//!
//! Small calls are measured alone and beside saturating 64 MiB traffic, in turns. Each kind of load has a thread and
//! connections of its own, so that the two do not wait for each other. The thread of the large calls has a lower
//! priority than that of the small ones, since real clients would not share a machine with the server and with each
//! other.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use evenkeel_load::Until;

use crate::{
    Result,
    alternate::runtime,
    burst::{Burst, Load},
    call::Call,
    case::{Case, Size},
    cli::MixedArgs,
    data::Tolerance,
    goals::Measured,
    process::{SERVER_CORE, give_way, pin_load},
    record::Record,
    server::Server,
    statistics::{Summary, percentile},
};

/// Two calls over two connections: one is computed while the other is received or sent.
const BULK: Case = Case { size: Size::M64, connections: 2, concurrency: 2 };

/// The cores of the server and of the load.
#[derive(Clone, Copy, Debug)]
struct Layout {
    name: &'static str,
    server_cores: &'static str,
    /// Whether the load is pinned to the other core than the server's.
    load_pinned: bool,
    /// Whether the goal is for this layout.
    counts: bool,
}

/// The server on all cores, as an operator would run it, and, for comparison, on a core without the load.
const LAYOUTS: [Layout; 2] = [
    Layout { name: "evenkeel, all cores", server_cores: "0,1", load_pinned: false, counts: true },
    Layout { name: "evenkeel, one core", server_cores: SERVER_CORE, load_pinned: true, counts: false },
];

pub(crate) fn run(arguments: &MixedArgs) -> Result<()> {
    let common = &arguments.common;
    let mut record = Record::begin("mixed", common.rounds, common.seconds);
    let calls = Calls {
        small: Arc::new(Call::normalize(Size::K4.bytes(), Tolerance::Ulp)),
        large: Arc::new(Call::normalize(Size::M64.bytes(), Tolerance::Ulp)),
    };
    for layout in LAYOUTS {
        let server = Server::evenkeel("evenkeel", layout.server_cores, &[], common)?;
        let turns = (0..common.rounds).map(|_| turn(server.address, layout, &calls, common.turn()));
        let turns = turns.collect::<Result<Vec<_>>>()?;
        let of = |number: &dyn Fn(&Turn) -> f64| turns.iter().map(number).collect::<Vec<_>>();
        let (alone, beside) = (of(&|turn| turn.alone.p99), of(&|turn| turn.beside.p99));
        let (case, bulk) = (Case::busy(Size::K4).to_string(), BULK.to_string());
        let mut figure = |case: &str, what, numbers: Vec<f64>| {
            record.figure(case, layout.name, what, Summary::of(numbers));
        };
        figure(&format!("{case}, alone"), "p50 us", of(&|turn| turn.alone.p50));
        figure(&format!("{case}, alone"), "p99 us", alone.clone());
        figure(&format!("{case}, alone"), "calls/s", of(&|turn| turn.alone.per_second));
        figure(&format!("{case}, beside"), "p50 us", of(&|turn| turn.beside.p50));
        figure(&format!("{case}, beside"), "p99 us", beside.clone());
        figure(&format!("{case}, beside"), "calls/s", of(&|turn| turn.beside.per_second));
        figure(&bulk, "calls/s", of(&|turn| turn.bulk_per_second));
        let ratio = Summary::of_ratios(&beside, &alone);
        record.figure(&case, layout.name, "beside / alone", ratio);
        if layout.counts {
            record.goals.push(Measured::new("mixed-p99", ratio));
        }
    }
    let case = Case::busy(Size::K4).to_string();
    for case in [&format!("{case}, alone"), &format!("{case}, beside"), &BULK.to_string(), &case] {
        record.print(case);
    }
    record.finish(&common.place.records)
}

struct Calls {
    small: Arc<Call>,
    large: Arc<Call>,
}

/// The small calls of a turn.
struct Small {
    p50: f64,
    p99: f64,
    per_second: f64,
}

struct Turn {
    alone: Small,
    beside: Small,
    bulk_per_second: f64,
}

fn turn(server: SocketAddr, layout: Layout, calls: &Calls, duration: Duration) -> Result<Turn> {
    let alone = small(server, layout, calls, duration)?;
    let stop = Arc::new(AtomicBool::new(false));
    let (running, ran) = mpsc::channel();
    thread::scope(|scope| {
        let bulk = scope.spawn(|| bulk(server, layout, calls, &stop, running));
        // This fails if the large calls could not begin; then the result of `bulk` has the reason.
        let beside = ran.recv().map_err(Into::into).and_then(|()| small(server, layout, calls, duration));
        stop.store(true, Ordering::Relaxed);
        let bulk = bulk.join().map_err(|_| "the thread of the large calls panicked")??;
        Ok(Turn { alone, beside: beside?, bulk_per_second: bulk.per_second() })
    })
}

/// Makes the 4 KiB calls, on a thread of their own.
fn small(server: SocketAddr, layout: Layout, calls: &Calls, duration: Duration) -> Result<Small> {
    let case = Case::busy(Size::K4);
    let burst = thread::scope(|scope| {
        let load = scope.spawn(|| -> Result<Burst> {
            layout.place()?;
            runtime()?.block_on(async {
                let mut load = Load::connect(server, case.connections, Arc::clone(&calls.small)).await?;
                load.verify().await?;
                load.run(case.concurrency, Until::Elapsed(duration)).await
            })
        });
        load.join().map_err(|_| "the thread of the small calls panicked")?
    });
    let mut burst = burst?;
    let (p50, p99) = (percentile(&mut burst.latencies, 0.5), percentile(&mut burst.latencies, 0.99));
    Ok(Small { p50, p99, per_second: burst.per_second() })
}

/// Makes the 64 MiB calls until `stop` is set; sends a message when they begin.
fn bulk(
    server: SocketAddr,
    layout: Layout,
    calls: &Calls,
    stop: &Arc<AtomicBool>,
    running: mpsc::Sender<()>,
) -> Result<Burst> {
    layout.place()?;
    give_way()?;
    runtime()?.block_on(async {
        let mut load = Load::connect(server, BULK.connections, Arc::clone(&calls.large)).await?;
        load.verify().await?;
        running.send(())?;
        load.run(BULK.concurrency, Until::Stopped(Arc::clone(stop))).await
    })
}

impl Layout {
    fn place(self) -> Result<()> {
        if self.load_pinned { pin_load() } else { Ok(()) }
    }
}
