//! The load: closed loops of one prepared call over some connections.
//!
//! The calls that are measured go through [`Connection`], which only counts responses. One call in each turn goes
//! through h2, on a connection of its own, and its response is compared with the reference.

use std::{
    net::SocketAddr,
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use evenkeel_load::{Connection, Ended, Outcome, Pace, Record, Reference, Until, Worker};
use h2::{RecvStream, client::SendRequest};
use http::{HeaderMap, Request, StatusCode};
use tokio::{net::TcpStream, task::JoinSet};

use crate::{Result, call::Call};

/// Frames as large as those of the measured connections, and windows that no response fills.
const MAX_FRAME: u32 = 1 << 20;
const WINDOW: u32 = 1 << 30;

/// Connections to a server, and the call that is made over them.
pub(crate) struct Load {
    connections: Vec<Connection>,
    checking: SendRequest<Bytes>,
    call: Arc<Call>,
    request: Request<()>,
}

/// The time of each call in microseconds, or the first that went wrong.
#[derive(Debug, Default)]
struct Latencies {
    microseconds: Vec<f64>,
    wrong: Option<Outcome>,
}

/// The calls of a closed loop.
#[derive(Debug)]
pub(crate) struct Burst {
    pub(crate) calls: u64,
    pub(crate) elapsed: Duration,
    /// The time of each call, in microseconds.
    pub(crate) latencies: Vec<f64>,
}

impl Burst {
    pub(crate) fn per_second(&self) -> f64 {
        self.calls as f64 / self.elapsed.as_secs_f64()
    }
}

impl Load {
    /// Connects, and makes one call, whose response has the length that every response must have.
    pub(crate) async fn connect(address: SocketAddr, connections: usize, call: Arc<Call>) -> Result<Self> {
        let request = Request::post(call.uri()?).header("content-type", "application/grpc").header("te", "trailers");
        let (request, checking) = (request.body(())?, connect(address).await?);
        let mut load = Self { connections: Vec::new(), checking, call, request };
        let kind = load.call.kind();
        let reference = Reference::of_answer(kind, &load.collect().await?)?;
        let prepared = evenkeel_load::Request::new(load.call.path, "localhost", load.call.body.clone(), kind);
        let prepared = Arc::new(prepared);
        for _ in 0..connections {
            let socket = TcpStream::connect(address).await?;
            socket.set_nodelay(true)?;
            load.connections.push(Connection::open(socket, Arc::clone(&prepared), reference.clone()).await?);
        }
        Ok(load)
    }

    /// Makes one call and compares its response with the reference.
    pub(crate) async fn verify(&self) -> Result<()> {
        self.call.check(&self.collect().await?)
    }

    /// Keeps `concurrency` calls in flight, spread over the connections.
    pub(crate) async fn run(&mut self, concurrency: usize, until: Until) -> Result<Burst> {
        let (started, pace) = (Instant::now(), Arc::new(Pace::closed(until)));
        let (mut loops, spread) = (JoinSet::new(), self.connections.len());
        for (index, connection) in std::mem::take(&mut self.connections).into_iter().enumerate() {
            let share = concurrency / spread + usize::from(index < concurrency % spread);
            loops.spawn(one(connection, share, Arc::clone(&pace)));
        }
        let mut latencies = Vec::new();
        while let Some(ended) = loops.join_next().await {
            let (connection, mut its) = ended??;
            self.connections.push(connection);
            latencies.append(&mut its);
        }
        Ok(Burst { calls: latencies.len() as u64, elapsed: started.elapsed(), latencies })
    }

    /// Makes so many calls on each connection, one connection after the other.
    pub(crate) async fn each(&mut self, calls: u64) -> Result<()> {
        for connection in std::mem::take(&mut self.connections) {
            let (connection, _) = one(connection, 1, Arc::new(Pace::closed(Until::Calls(calls)))).await?;
            self.connections.push(connection);
        }
        Ok(())
    }

    /// Makes a call through h2 and returns its response.
    async fn collect(&self) -> Result<Vec<u8>> {
        let (answer, mut body) = self.checking.clone().ready().await?.send_request(self.request.clone(), false)?;
        body.send_data(self.call.body.clone(), true)?;
        let answer = answer.await?;
        if answer.status() != StatusCode::OK {
            return Err(format!("HTTP status {}", answer.status()).into());
        }
        // A response without a message has its status in the headers.
        if answer.headers().contains_key("grpc-status") {
            status(answer.headers())?;
        }
        let (mut body, mut collected) = (answer.into_body(), Vec::new());
        while let Some(frame) = body.data().await {
            let frame = frame?;
            collected.extend_from_slice(&frame);
            body.flow_control().release_capacity(frame.len())?;
        }
        ended_well(body).await?;
        Ok(collected)
    }
}

/// The calls of one connection, and how long each took.
async fn one(mut connection: Connection, concurrency: usize, pace: Arc<Pace>) -> Result<(Connection, Vec<f64>)> {
    let mut worker = Worker::new(pace, concurrency, Latencies::default());
    connection.run(&mut worker).await?;
    match worker.record.wrong {
        Some(outcome) => Err(format!("a call went wrong: {outcome:?}").into()),
        None => Ok((connection, worker.record.microseconds)),
    }
}

impl Record for Latencies {
    fn ended(&mut self, call: Ended) -> ControlFlow<()> {
        if call.outcome == Outcome::Ok {
            self.microseconds.push(call.ended.duration_since(call.started).as_secs_f64() * 1e6);
            return ControlFlow::Continue(());
        }
        self.wrong = Some(call.outcome);
        ControlFlow::Break(())
    }
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Bytes>> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let (send, connection) = h2::client::Builder::new()
        .max_frame_size(MAX_FRAME)
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .enable_push(false)
        .handshake(socket)
        .await?;
    // The calls report an error of the connection.
    tokio::spawn(async { _ = connection.await });
    Ok(send)
}

async fn ended_well(mut body: RecvStream) -> Result<()> {
    status(&body.trailers().await?.ok_or("the answer has no trailers")?)
}

fn status(headers: &HeaderMap) -> Result<()> {
    match headers.get("grpc-status").map(|status| status.as_bytes()) {
        Some(b"0") => Ok(()),
        status => Err(format!("gRPC status {status:?}, message {:?}", headers.get("grpc-message")).into()),
    }
}
