//! Normalize beside common servers: a Python server with grpcio and torch, and a KServe server with NumPy.

use std::sync::Arc;

use tokio::runtime::Runtime;

use crate::{
    Result,
    alternate::{alternate, runtime},
    call::Call,
    case::{Case, Size},
    cli::{Common, PeersArgs, Python},
    contender::Contender,
    data::Tolerance,
    goals::Measured,
    process::{SERVER_CORE, pin_load},
    record::Record,
    server::Server,
    statistics::Summary,
};

struct Servers {
    evenkeel: Server,
    sync: Server,
    aio: Server,
    mlserver: Server,
}

pub(crate) fn run(arguments: &PeersArgs) -> Result<()> {
    let common = &arguments.common;
    pin_load()?;
    let peers = &arguments.python.peers;
    let mlserver = [&peers.join("peer_mlserver.py").display().to_string()[..]];
    let servers = Servers {
        evenkeel: Server::evenkeel("evenkeel", SERVER_CORE, &[], common)?,
        sync: grpcio("sync", &arguments.python, common)?,
        aio: grpcio("aio", &arguments.python, common)?,
        mlserver: Server::start("mlserver", SERVER_CORE, &arguments.mlserver_python, &mlserver, &common.place.records)?,
    };
    let mut record = Record::begin("peers", common.rounds, common.seconds);
    let runtime = runtime()?;
    for &size in &arguments.sizes {
        compare(size, &servers, common, &runtime, &mut record)?;
    }
    record.finish(&common.place.records)
}

/// Starts the Python server with grpcio and torch, its `sync` or its `aio` variant.
pub(crate) fn grpcio(variant: &str, python: &Python, common: &Common) -> Result<Server> {
    let script = python.peers.join("peer_grpcio.py").display().to_string();
    let name = format!("grpcio-{variant}");
    Server::start(&name, SERVER_CORE, &python.python, &[&script, variant], &common.place.records)
}

fn compare(size: Size, servers: &Servers, common: &Common, runtime: &Runtime, record: &mut Record) -> Result<()> {
    let case = Case::busy(size);
    let exact = Arc::new(Call::normalize(size.bytes(), Tolerance::Ulp));
    let close = Arc::new(Call::normalize(size.bytes(), Tolerance::Float32));
    let grpc = |name, server, call: &Arc<Call>| Contender::grpc(name, server, case, Arc::clone(call), runtime);
    let mut contenders = vec![
        grpc("evenkeel", &servers.evenkeel, &exact)?,
        grpc("grpcio + torch, sync", &servers.sync, &close)?,
        grpc("grpcio + torch, aio", &servers.aio, &close)?,
    ];
    // MLServer takes minutes for eight calls of 64 MiB.
    if size != Size::M64 {
        contenders.push(grpc("MLServer + NumPy", &servers.mlserver, &Arc::new(Call::infer(size.bytes())))?);
    }
    alternate(case, &mut contenders, common.rounds, common.turn(), runtime, record)?;
    let rates = |index: usize| &contenders[index].turns.per_second;
    let median = |index: usize| Summary::of(rates(index).iter().copied()).median;
    let better = if median(1) > median(2) { 1 } else { 2 };
    record.goals.push(Measured::new(format!("grpcio-{}", size.id()), Summary::of_ratios(rates(0), rates(better))));
    Ok(())
}
