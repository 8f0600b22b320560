//! Measures streams of tensors against unary calls of the same bytes, against Arrow Flight, and with a tensor much larger than the
//! budget.

mod flight;
mod steady;

use std::sync::Arc;

use tokio::runtime::Runtime;

use crate::{
    Result,
    alternate::{alternate, runtime},
    call::Call,
    case::{Case, Size},
    cli::{Common, StreamsArgs},
    contender::Contender,
    data::Tolerance,
    goals::Measured,
    process::{SERVER_CORE, pin_load},
    record::Record,
    server::Server,
    statistics::Summary,
};

/// The sizes of chunks, with their names.
const CHUNKS: [(usize, &str); 4] = [(64 << 10, "64k"), (256 << 10, "256k"), (1 << 20, "1m"), (4 << 20, "4m")];
/// A tensor that no message holds.
const LARGE: usize = 1 << 30;

pub(crate) fn run(arguments: &StreamsArgs) -> Result<()> {
    let common = &arguments.common;
    pin_load()?;
    let server = Server::evenkeel("evenkeel", SERVER_CORE, &[], common)?;
    let mut record = Record::begin("streams", common.rounds, common.seconds);
    let runtime = runtime()?;
    against_unary(&server, common, &runtime, &mut record)?;
    large(&server, common, &runtime, &mut record)?;
    flight::compare(&server, arguments, &runtime, &mut record)?;
    drop(server);
    steady::run(arguments, &runtime, &mut record)?;
    record.finish(&common.place.records)
}

/// A tensor of 64 MiB in chunks of each size, and as one message.
fn against_unary(server: &Server, common: &Common, runtime: &Runtime, record: &mut Record) -> Result<()> {
    let case = Case::single(Size::M64);
    let bytes = Size::M64.bytes();
    let unary = Arc::new(Call::normalize(bytes, Tolerance::Ulp));
    let mut contenders = vec![Contender::grpc("unary", server, case, unary, runtime)?];
    let names = CHUNKS.map(|(_, name)| format!("chunks of {name}"));
    for ((chunk, _), name) in CHUNKS.into_iter().zip(&names) {
        let call = Arc::new(Call::normalize_stream(bytes, chunk));
        contenders.push(Contender::grpc(name, server, case, call, runtime)?);
    }
    alternate(case, &mut contenders, common.rounds, common.turn(), runtime, record)?;
    let (unary, streams) = contenders.split_first().ok_or("there are contenders")?;
    for (stream, (_, name)) in streams.iter().zip(CHUNKS) {
        let ratio = Summary::of_ratios(&stream.turns.per_second, &unary.turns.per_second);
        record.goals.push(Measured::new(format!("stream-64m-{name}"), ratio));
    }
    Ok(())
}

/// A tensor of 1 GiB in chunks of 1 MiB, by the bytes per second of unary calls with 64 MiB.
fn large(server: &Server, common: &Common, runtime: &Runtime, record: &mut Record) -> Result<()> {
    let case = Case::single(Size::M64);
    let unary = Arc::new(Call::normalize(Size::M64.bytes(), Tolerance::Ulp));
    let stream = Arc::new(Call::normalize_stream(LARGE, 1 << 20));
    let mut contenders = [
        Contender::grpc("unary, 64 MiB", server, case, unary, runtime)?,
        Contender::grpc("stream, 1 GiB", server, case, stream, runtime)?,
    ];
    // A call takes most of a second.
    let turn = common.turn().max(std::time::Duration::from_secs(2));
    for round in 0..common.rounds {
        contenders[round % 2].turn(turn, runtime)?;
        contenders[1 - round % 2].turn(turn, runtime)?;
    }
    let gigabytes = |contender: &Contender<'_>, bytes: usize| -> Vec<f64> {
        contender.turns.per_second.iter().map(|calls| calls * bytes as f64 / 1e9).collect()
    };
    let rates = [gigabytes(&contenders[0], Size::M64.bytes()), gigabytes(&contenders[1], LARGE)];
    for (contender, rates) in contenders.iter().zip(&rates) {
        record.figure("1 GiB", contender.name, "GB/s", Summary::of(rates.iter().copied()));
    }
    record.print("1 GiB");
    record.goals.push(Measured::new("stream-1g", Summary::of_ratios(&rates[1], &rates[0])));
    Ok(())
}
