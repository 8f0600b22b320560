//! The Rust client: its own path beside the one through tonic's codec, to the same server.
//!
//! A call takes and returns an array, as in a program.

use std::time::{Duration, Instant};

use evenkeel_client::{Client, NormKind, ndarray::Array2};
use rustix::process::getpid;

use crate::{
    Result,
    alternate::runtime,
    case::{Case, Size},
    cli::LoopbackArgs,
    data::{self, ROW, Tolerance, check_layer_norm},
    process::{self, SERVER_CORE, pin_load},
    record::Record,
    server::Server,
    statistics::Summary,
};

/// The larger messages are above the client's default limit.
const MAX_MESSAGE_BYTES: usize = 256 << 20;

struct Contender {
    name: &'static str,
    client: Client,
    per_second: Vec<f64>,
    /// CPU time of the client's process for each call.
    cpu_us: Vec<f64>,
}

pub(crate) fn run(arguments: &LoopbackArgs) -> Result<()> {
    let common = &arguments.common;
    pin_load()?;
    let server = Server::evenkeel("evenkeel", SERVER_CORE, &[], common)?;
    let mut record = Record::begin("client", common.rounds, common.seconds);
    let runtime = runtime()?;
    for &size in &arguments.sizes {
        let case = Case::single(size);
        runtime.block_on(async {
            let mut contenders = Vec::new();
            for (name, codec_path) in [("evenkeel-client", false), ("through tonic's codec", true)] {
                let builder = Client::builder().max_message_bytes(MAX_MESSAGE_BYTES).codec_path(codec_path).retries(0);
                let client = builder.connect(format!("http://{}", server.address)).await?;
                contenders.push(Contender { name, client, per_second: Vec::new(), cpu_us: Vec::new() });
            }
            for round in 0..common.rounds {
                for index in 0..contenders.len() {
                    contenders[(index + round) % 2].turn(size, common.turn()).await?;
                }
            }
            for Contender { name, per_second, cpu_us, .. } in &contenders {
                record.figure(&case.to_string(), name, "calls/s", Summary::of(per_second.iter().copied()));
                record.figure(&case.to_string(), name, "client CPU us", Summary::of(cpu_us.iter().copied()));
            }
            record.print(&case.to_string());
            let ratio = |of: fn(&Contender) -> &Vec<f64>| Summary::of_ratios(of(&contenders[0]), of(&contenders[1]));
            let (faster, cpu) = (ratio(|contender| &contender.per_second), ratio(|contender| &contender.cpu_us));
            println!("    calls/s {:.2}, client CPU {:.2} of the codec's path", faster.median, cpu.median);
            record.figure(&case.to_string(), "evenkeel-client", "of codec path's calls/s", faster);
            record.figure(&case.to_string(), "evenkeel-client", "of codec path's CPU", cpu);
            Result::Ok(())
        })?;
    }
    record.finish(&common.place.records)
}

impl Contender {
    /// One turn: a call whose response is compared with the reference, and then calls one after the other.
    async fn turn(&mut self, size: Size, duration: Duration) -> Result<()> {
        let input = data::float32(size.bytes());
        let numbers = input.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        let array = Array2::from_shape_vec((size.bytes() / 4 / ROW, ROW), numbers.collect())?;
        let call = || self.client.normalize(&array).kind(NormKind::Layer).send();
        let output = call().await?.output;
        let bytes: Vec<u8> = output.iter().flat_map(|number| number.to_le_bytes()).collect();
        check_layer_norm(&input, &bytes, Tolerance::Ulp)?;

        let (began, spent) = (Instant::now(), process::cpu_seconds(getpid())?);
        let mut calls = 0_u32;
        while began.elapsed() < duration {
            call().await?;
            calls += 1;
        }
        self.per_second.push(f64::from(calls) / began.elapsed().as_secs_f64());
        self.cpu_us.push((process::cpu_seconds(getpid())? - spent) * 1e6 / f64::from(calls));
        Ok(())
    }
}
