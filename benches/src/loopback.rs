//! Normalize beside the cost of the bytes alone, in tonic's default echo and a raw TCP echo, and beside its own path
//! through tonic's codec.
//!
//! All servers run at once, on one core; only the one whose turn it is has work. The load runs on the other core.

use std::sync::Arc;

use tokio::runtime::Runtime;

use crate::{
    Result,
    alternate::{alternate, runtime},
    call::Call,
    case::{Case, Size},
    cli::LoopbackArgs,
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
    codec: Server,
    echo: Server,
    tcp: Server,
}

pub(crate) fn run(arguments: &LoopbackArgs) -> Result<()> {
    let common = &arguments.common;
    pin_load()?;
    let servers = Servers {
        evenkeel: Server::evenkeel("evenkeel", SERVER_CORE, &[], common)?,
        codec: Server::evenkeel("evenkeel-codec", SERVER_CORE, &["--codec-path"], common)?,
        echo: Server::own("echo-tonic", SERVER_CORE, "echo-tonic", common)?,
        tcp: Server::own("echo-tcp", SERVER_CORE, "echo-tcp", common)?,
    };
    let mut record = Record::begin("loopback", common.rounds, common.seconds);
    let runtime = runtime()?;
    for &size in &arguments.sizes {
        against_grpc(size, &servers, arguments, &runtime, &mut record)?;
        if size != Size::K4 {
            against_tcp(size, &servers, arguments, &runtime, &mut record)?;
        }
    }
    record.finish(&common.place.records)
}

/// Compares with tonic's echo and the codec path.
fn against_grpc(
    size: Size,
    servers: &Servers,
    arguments: &LoopbackArgs,
    runtime: &Runtime,
    record: &mut Record,
) -> Result<()> {
    let case = if size == Size::M64 { Case::single(size) } else { Case::busy(size) };
    let normalize = Arc::new(Call::normalize(size.bytes(), Tolerance::Ulp));
    let echo = Arc::new(Call::echo(size.bytes()));
    let grpc = |name, server, call: &Arc<Call>| Contender::grpc(name, server, case, Arc::clone(call), runtime);
    let mut contenders = [
        grpc("evenkeel", &servers.evenkeel, &normalize)?,
        grpc("evenkeel --codec-path", &servers.codec, &normalize)?,
        grpc("tonic echo", &servers.echo, &echo)?,
    ];
    alternate(case, &mut contenders, arguments.common.rounds, arguments.common.turn(), runtime, record)?;
    let [ours, codec, echo] = contenders.map(|contender| contender.turns);
    let faster = Summary::of_ratios(&ours.per_second, &codec.per_second);
    record.figure(&case.to_string(), "evenkeel", "of codec path's calls/s", faster);
    println!("    evenkeel / its codec path: {:.2}", faster.median);
    let ratio = Summary::of_ratios(&ours.per_second, &echo.per_second);
    record.goals.push(Measured::new(format!("echo-{}", size.id()), ratio));
    if size == Size::M4 {
        record.goals.push(Measured::new("cpu-4m", Summary::of_ratios(&ours.cpu_us, &echo.cpu_us)));
    }
    Ok(())
}

/// Compares with the raw TCP echo, with one call at a time, since the echo can do no more.
fn against_tcp(
    size: Size,
    servers: &Servers,
    arguments: &LoopbackArgs,
    runtime: &Runtime,
    record: &mut Record,
) -> Result<()> {
    let case = Case::single(size);
    let normalize = Arc::new(Call::normalize(size.bytes(), Tolerance::Ulp));
    let mut contenders = [
        Contender::grpc("evenkeel", &servers.evenkeel, case, normalize, runtime)?,
        Contender::tcp("raw TCP echo", &servers.tcp, case)?,
    ];
    alternate(case, &mut contenders, arguments.common.rounds, arguments.common.turn(), runtime, record)?;
    let [ours, tcp] = contenders.map(|contender| contender.turns);
    let ratio = Summary::of_ratios(&ours.per_second, &tcp.per_second);
    record.goals.push(Measured::new(format!("tcp-{}", size.id()), ratio));
    Ok(())
}
