//! A contender of a comparison: a server, and the load on it.

use std::{sync::Arc, time::Duration};

use evenkeel_load::Until;
use rustix::process::getpid;
use tokio::runtime::Runtime;

use crate::{
    Result,
    burst::{Burst, Load},
    call::Call,
    case::Case,
    data, process,
    server::Server,
    statistics::percentile,
    tcp,
};

/// A server and its load.
pub(crate) struct Contender<'a> {
    pub(crate) name: &'a str,
    server: &'a Server,
    client: Client,
    concurrency: usize,
    pub(crate) turns: Turns,
}

/// The measurements, turn by turn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns {
    pub(crate) per_second: Vec<f64>,
    /// CPU time of the server for each call.
    pub(crate) cpu_us: Vec<f64>,
    /// CPU time of the load for each call: if it comes near the time of a call, the load is the bottleneck.
    pub(crate) load_us: Vec<f64>,
    pub(crate) p50_us: Vec<f64>,
    pub(crate) p99_us: Vec<f64>,
}

enum Client {
    Http2(Box<Load>),
    Tcp(tcp::Client),
}

impl<'a> Contender<'a> {
    /// Connects to a gRPC server.
    pub(crate) fn grpc(
        name: &'a str,
        server: &'a Server,
        case: Case,
        call: Arc<Call>,
        runtime: &Runtime,
    ) -> Result<Self> {
        let load = runtime.block_on(Load::connect(server.address, case.connections, call));
        let client = Client::Http2(Box::new(load.map_err(|error| format!("{name}: {error}"))?));
        Ok(Self { name, server, client, concurrency: case.concurrency, turns: Turns::default() })
    }

    /// Connects to the raw TCP echo.
    pub(crate) fn tcp(name: &'a str, server: &'a Server, case: Case) -> Result<Self> {
        let client = Client::Tcp(tcp::Client::connect(server.address, &data::float32(case.size.bytes()))?);
        Ok(Self { name, server, client, concurrency: case.concurrency, turns: Turns::default() })
    }

    /// One turn: a call that is compared with the reference, and then the load.
    pub(crate) fn turn(&mut self, duration: Duration, runtime: &Runtime) -> Result<()> {
        self.load(duration, runtime).map_err(|error| format!("{}: {error}", self.name).into())
    }

    fn load(&mut self, duration: Duration, runtime: &Runtime) -> Result<()> {
        let until = Until::Elapsed(duration);
        // CPU time of the server and of this process.
        let spent = || -> Result<_> { Ok((process::cpu_seconds(self.server.pid())?, process::cpu_seconds(getpid())?)) };
        let before;
        let mut burst: Burst = match &mut self.client {
            Client::Http2(load) => {
                runtime.block_on(load.verify())?;
                before = spent()?;
                runtime.block_on(load.run(self.concurrency, until))?
            }
            Client::Tcp(client) => {
                client.verify()?;
                before = spent()?;
                client.run(&until)?
            }
        };
        let after = spent()?;
        let per_call = 1e6 / burst.calls as f64;
        self.turns.per_second.push(burst.per_second());
        self.turns.cpu_us.push((after.0 - before.0) * per_call);
        self.turns.load_us.push((after.1 - before.1) * per_call);
        self.turns.p50_us.push(percentile(&mut burst.latencies, 0.5));
        self.turns.p99_us.push(percentile(&mut burst.latencies, 0.99));
        Ok(())
    }
}
