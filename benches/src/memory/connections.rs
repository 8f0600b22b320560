//! The memory of an open connection: of one that has sent nothing, and of one that is idle after calls.

use std::{sync::Arc, time::Duration};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{net::TcpStream, runtime::Runtime, time::sleep};

use crate::{
    Result,
    burst::Load,
    call::Call,
    case::Size,
    cli::Common,
    data::Tolerance,
    goals::Measured,
    process::{Memory, SERVER_CORE},
    record::Record,
    server::Server,
    statistics::Summary,
};

/// The number of silent connections, whose memory must show beside that of the allocator.
const SILENT: usize = 4000;
/// The number of connections that make calls. With 500 the allocator's own growth, some 5 MiB, is a fifth of the figure.
const IDLE: usize = 2000;
/// The connections that are opened before the measurement, so that memory which grows only once does not count.
const BEFORE: usize = 50;
/// The calls of each connection that is idle afterwards.
const CALLS: u64 = 3;
/// The time in which the allocator returns free memory.
const SETTLE: Duration = Duration::from_secs(1);
/// No limits on connections, all of which come from one address.
const FLAGS: [&str; 4] = ["--max-connections", "0", "--max-connections-per-peer", "0"];

pub(super) fn run(common: &Common, runtime: &Runtime, record: &mut Record) -> Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    let case = "open connections".to_owned();
    let mut each = |what: &str, summary: Summary| record.figure(&case, what, "KiB each", summary);
    let silent: Vec<f64> = (0..common.rounds).map(|_| runtime.block_on(silent(common))).collect::<Result<_>>()?;
    let silent = Summary::of(silent);
    each("silent", silent);
    let mut worst = 0.0_f64;
    for size in [Size::K4, Size::K256, Size::M4] {
        let idle: Vec<f64> = (0..common.rounds).map(|_| runtime.block_on(idle(size, common))).collect::<Result<_>>()?;
        let idle = Summary::of(idle);
        each(&format!("idle after calls of {size}"), idle);
        worst = worst.max(idle.median);
    }
    record.print(&case);
    record.goals.push(Measured::new("connection-silent", silent));
    record.goals.push(Measured::new("connection-idle", Summary::of([worst])));
    Ok(())
}

/// The growth of the server's memory for each connection, in KiB.
struct Growth<'a> {
    server: &'a Server,
    before: f64,
}

impl<'a> Growth<'a> {
    async fn begin(server: &'a Server) -> Result<Self> {
        sleep(SETTLE).await;
        Ok(Self { server, before: Memory::Resident.of(server.pid())? })
    }

    async fn of_each(self, connections: usize) -> Result<f64> {
        sleep(SETTLE).await;
        Ok((Memory::Resident.of(self.server.pid())? - self.before) * 1024.0 / connections as f64)
    }
}

/// Measures connections that have sent nothing.
async fn silent(common: &Common) -> Result<f64> {
    let server = Server::evenkeel("evenkeel", SERVER_CORE, &FLAGS, common)?;
    let mut open = Vec::new();
    for _ in 0..BEFORE {
        open.push(TcpStream::connect(server.address).await?);
    }
    let growth = Growth::begin(&server).await?;
    for _ in 0..SILENT {
        open.push(TcpStream::connect(server.address).await?);
    }
    growth.of_each(SILENT).await
}

/// Measures connections that have made some calls, one after the other.
async fn idle(size: Size, common: &Common) -> Result<f64> {
    let server = Server::evenkeel("evenkeel", SERVER_CORE, &FLAGS, common)?;
    let call = Arc::new(Call::normalize(size.bytes(), Tolerance::Ulp));
    let mut before = Load::connect(server.address, BEFORE, Arc::clone(&call)).await?;
    before.each(CALLS).await?;
    let growth = Growth::begin(&server).await?;
    let mut load = Load::connect(server.address, IDLE, call).await?;
    load.each(CALLS).await?;
    growth.of_each(IDLE).await
}
