//! Memory: its peak while many large calls come at once, its growth over very many small calls, and the memory of an
//! open connection.

mod connections;

use std::sync::Arc;

use evenkeel_load::Until;
use tokio::runtime::Runtime;

use crate::{
    Result,
    alternate::runtime,
    burst::Load,
    call::Call,
    case::{Case, Size},
    cli::{Common, MemoryArgs},
    data::Tolerance,
    goals::Measured,
    peers::grpcio,
    process::{Memory, SERVER_CORE, pin_load},
    record::Record,
    server::Server,
    statistics::Summary,
};

/// Large calls, all at once, over four connections.
const CROWD: Case = Case { size: Size::M4, connections: 4, concurrency: 32 };
/// The parts of the long run after each of which memory is read.
const LOOKS: usize = 20;

pub(crate) fn run(arguments: &MemoryArgs) -> Result<()> {
    let common = &arguments.common;
    pin_load()?;
    let mut record = Record::begin("memory", common.rounds, common.seconds);
    let runtime = runtime()?;
    connections::run(common, &runtime, &mut record)?;
    if arguments.connections {
        return record.finish(&common.place.records);
    }
    peaks(arguments, &runtime, &mut record)?;
    flat(arguments.requests, common, &runtime, &mut record)?;
    record.finish(&common.place.records)
}

/// Each turn starts new processes, since the peak of a process never falls.
fn peaks(arguments: &MemoryArgs, runtime: &Runtime, record: &mut Record) -> Result<()> {
    let common = &arguments.common;
    let [mut ours, mut sync, mut aio] = [const { Vec::new() }; 3];
    for _ in 0..common.rounds {
        ours.push(peak(&Server::evenkeel("evenkeel", SERVER_CORE, &[], common)?, Tolerance::Ulp, common, runtime)?);
        sync.push(peak(&grpcio("sync", &arguments.python, common)?, Tolerance::Float32, common, runtime)?);
        aio.push(peak(&grpcio("aio", &arguments.python, common)?, Tolerance::Float32, common, runtime)?);
    }
    let case = CROWD.to_string();
    let named = [("evenkeel", &ours), ("grpcio + torch, sync", &sync), ("grpcio + torch, aio", &aio)];
    let [_, sync_peak, aio_peak] = named.map(|(contender, numbers)| {
        let summary = Summary::of(numbers.iter().copied());
        record.figure(&case, contender, "peak MiB", summary);
        summary.median
    });
    record.print(&case);
    let better = if sync_peak < aio_peak { &sync } else { &aio };
    record.goals.push(Measured::new("memory-peak", Summary::of_ratios(&ours, better)));
    Ok(())
}

/// The peak of the memory of a server, after a turn with all calls at once.
fn peak(server: &Server, tolerance: Tolerance, common: &Common, runtime: &Runtime) -> Result<f64> {
    runtime.block_on(async {
        let call = Arc::new(Call::normalize(CROWD.size.bytes(), tolerance));
        let mut load = Load::connect(server.address, CROWD.connections, call).await?;
        load.verify().await?;
        // At least two calls for each caller, however short a turn is.
        load.run(CROWD.concurrency, Until::Calls(2 * CROWD.concurrency as u64)).await?;
        load.run(CROWD.concurrency, Until::Elapsed(common.turn())).await
    })?;
    Memory::Peak.of(server.pid())
}

/// Reads resident memory over `requests` small calls.
fn flat(requests: u64, common: &Common, runtime: &Runtime, record: &mut Record) -> Result<()> {
    let server = Server::evenkeel("evenkeel", SERVER_CORE, &[], common)?;
    let case = Case::busy(Size::K4);
    let mut resident = Vec::new();
    runtime.block_on(async {
        let call = Arc::new(Call::normalize(case.size.bytes(), Tolerance::Ulp));
        let mut load = Load::connect(server.address, case.connections, call).await?;
        for _ in 0..LOOKS {
            load.verify().await?;
            load.run(case.concurrency, Until::Calls(requests / LOOKS as u64)).await?;
            resident.push(Memory::Resident.of(server.pid())?);
        }
        Result::Ok(())
    })?;
    let case = format!("{requests} calls of {}", case.size);
    record.figure(&case, "evenkeel", "resident MiB", Summary::of(resident.iter().copied()));
    record.print(&case);
    // Pools and thread caches have reached their size after the second part.
    let ratio = resident[LOOKS - 1] / resident[LOOKS / 10 - 1];
    record.goals.push(Measured::new("memory-flat", Summary::of([ratio])));
    Ok(())
}
