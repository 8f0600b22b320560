//! The callers. Some behave well, others set short deadlines, send invalid requests, leave or stall; each compares
//! every bit that it receives.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::{AbortHandle, JoinSet},
    time::sleep,
};
use tonic::{Code, Status};

use super::{
    known::{Answered, Dice, Known},
    peer::{self, Ended, Peer, Taking},
    tally::{Outcome, Tally},
};
use crate::{Failure, Result};

/// The number of callers. Each has one connection at a time, which it replaces after some calls.
const CALLERS: u64 = 4;
/// The large calls of a crowd: more than the budget has room for.
const CROWD: usize = 10;
const BETWEEN_CROWDS: Duration = Duration::from_secs(3);
/// The time that a caller waits after it was refused for want of room.
const PATIENCE: Duration = Duration::from_millis(50);
/// The values of `grpc-timeout` that some calls have.
const TIMEOUTS: [&str; 5] = ["0n", "50u", "500u", "2m", "10m"];

/// The state that all callers share.
#[derive(Debug)]
pub(super) struct Traffic {
    pub(super) server: SocketAddr,
    pub(super) answered: Answered,
    pub(super) tally: Tally,
    pub(super) stop: AtomicBool,
}

impl Traffic {
    /// Starts all callers. The task that stalls must be aborted at the end.
    pub(super) fn start(self: &Arc<Self>) -> (JoinSet<()>, AbortHandle) {
        let mut tasks = JoinSet::new();
        for seed in 0..CALLERS {
            let traffic = Arc::clone(self);
            tasks.spawn(async move { traffic.calls(Dice(seed)).await });
        }
        let traffic = Arc::clone(self);
        tasks.spawn(async move { traffic.crowds().await });
        let traffic = Arc::clone(self);
        let stalling = tasks.spawn(async move { traffic.stalls().await });
        let traffic = Arc::clone(self);
        tasks.spawn(async move { traffic.says_nothing_good().await });
        (tasks, stalling)
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn failed(&self, what: &str, failure: &Failure) {
        self.tally.fail(format!("{what}: {failure}"));
    }

    /// Opens and closes connections, each with some calls at a time.
    async fn calls(self: Arc<Self>, mut dice: Dice) {
        while self.goes_on() {
            let taking = if dice.below(3) == 0 { Taking::Little } else { Taking::Much };
            let peer = match Peer::connect(self.server, taking).await {
                Ok(peer) => Arc::new(peer),
                Err(failure) => return self.failed("connecting", &failure),
            };
            let mut lanes = JoinSet::new();
            for lane in 0..=dice.below(4) {
                let (traffic, peer, mut dice) = (Arc::clone(&self), Arc::clone(&peer), Dice(dice.0 + lane as u64));
                let calls = 1 + dice.below(100);
                lanes.spawn(async move {
                    for _ in 0..calls {
                        traffic.one(&peer, &mut dice).await;
                        if !traffic.goes_on() {
                            break;
                        }
                    }
                });
            }
            if dice.below(8) == 0 {
                // The caller leaves in the middle, with all calls.
                sleep(Duration::from_millis(dice.below(50) as u64)).await;
                lanes.shutdown().await;
                self.tally.count(Outcome::Left);
            }
            while lanes.join_next().await.is_some() {}
        }
    }

    async fn one(&self, peer: &Peer, dice: &mut Dice) {
        let known = self.answered.pick(dice);
        let done = match dice.below(20) {
            0 => self.leave(peer, known, dice).await,
            1 => self.call(peer, known, Some(TIMEOUTS[dice.below(TIMEOUTS.len())])).await,
            _ => self.call(peer, known, None).await,
        };
        if let Err(failure) = done {
            self.failed(&known.request.name, &failure);
        }
    }

    /// Makes a call and checks its response to the last bit.
    async fn call(&self, peer: &Peer, known: &Known, timeout: Option<&str>) -> Result<()> {
        let (begun, mut comparison) = (Instant::now(), known.comparison());
        let ended = peer.call(&known.request, timeout, |bytes| comparison.take(bytes)).await?;
        if !comparison.is_right_so_far() {
            return Err(format!("a wrong answer, of {} bytes", ended.bytes).into());
        }
        let Ended { status, .. } = &ended;
        if known.ends_so(&ended) {
            if !comparison.is_right() {
                return Err(format!("an answer that ends after {} bytes", ended.bytes).into());
            }
            if status.code() == Code::Ok {
                self.tally.right(known.class, begun.elapsed());
            } else {
                self.tally.count(Outcome::Refused);
            }
        } else if is_overload(status) {
            self.tally.count(Outcome::Overloaded);
            sleep(PATIENCE).await;
        } else if timeout.is_some() && status.code() == Code::DeadlineExceeded {
            self.tally.count(Outcome::OutOfTime);
        } else {
            return Err(format!("{status:?}").into());
        }
        Ok(())
    }

    /// Begins a call and leaves before the response is complete, or before the request is sent.
    async fn leave(&self, peer: &Peer, known: &Known, dice: &mut Dice) -> Result<()> {
        let (answer, mut body) = peer.begin(&known.request.path, None).await?;
        let message = &known.request.messages[0];
        if dice.below(2) == 0 {
            peer::send(&mut body, message.slice(..message.len() / 2), false);
            sleep(Duration::from_millis(dice.below(3) as u64)).await;
        } else {
            peer::send(&mut body, message.clone(), known.request.messages.len() == 1);
            let wait = sleep(Duration::from_micros(dice.below(3000) as u64));
            let mut comparison = known.comparison();
            tokio::select! {
                ended = peer::end(answer, |bytes| comparison.take(bytes)) => drop(ended?),
                () = wait => (),
            }
            if !comparison.is_right_so_far() {
                return Err("a wrong answer".into());
            }
        }
        self.tally.count(Outcome::Left);
        Ok(())
    }

    /// Makes more large calls at once than the budget has room for.
    async fn crowds(self: Arc<Self>) {
        while self.goes_on() {
            let mut calls = JoinSet::new();
            for index in 0..CROWD {
                let traffic = Arc::clone(&self);
                calls.spawn(async move {
                    let known = &traffic.answered.large[index % traffic.answered.large.len()];
                    let done = match Peer::connect(traffic.server, Taking::Much).await {
                        Ok(peer) => traffic.call(&peer, known, None).await,
                        Err(failure) => Err(failure),
                    };
                    if let Err(failure) = done {
                        traffic.failed(&format!("{} in a crowd", known.request.name), &failure);
                    }
                });
            }
            while calls.join_next().await.is_some() {}
            sleep(BETWEEN_CROWDS).await;
        }
    }

    /// Sends a part of a request and then waits until the server ends the call.
    async fn stalls(self: Arc<Self>) {
        while self.goes_on() {
            let stall = async {
                let peer = Peer::connect(self.server, Taking::Much).await?;
                let request = &self.answered.large[0].request;
                let (answer, mut body) = peer.begin(&request.path, None).await?;
                peer::send(&mut body, request.messages[0].slice(..100_000), false);
                peer::end(answer, |_| ()).await
            };
            match stall.await {
                Ok(Ended { status, .. }) if status.code() == Code::DeadlineExceeded => {
                    self.tally.count(Outcome::GivenUp);
                }
                Ok(Ended { status, .. }) if is_overload(&status) => self.tally.count(Outcome::Overloaded),
                Ok(ended) => self.tally.fail(format!("a stalled call: {:?}", ended.status)),
                Err(failure) => self.failed("a stalled call", &failure),
            }
        }
    }

    /// Opens connections without a call: HTTP/1.1, noise, silence.
    async fn says_nothing_good(self: Arc<Self>) {
        let mut turn = 0;
        while self.goes_on() {
            let said = async {
                let mut stream = TcpStream::connect(self.server).await?;
                let words: &[u8] = [&b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..], &[0x16; 300], b""][turn % 3];
                stream.write_all(words).await?;
                if !words.is_empty() {
                    // The server must close the connection, in whatever way.
                    _ = stream.read_to_end(&mut Vec::new()).await;
                }
                std::io::Result::Ok(())
            };
            match said.await {
                Ok(()) => self.tally.count(Outcome::NoCall),
                Err(error) => self.failed("a connection without a call", &error.into()),
            }
            turn += 1;
            sleep(Duration::from_millis(200)).await;
        }
    }
}

/// Whether a call was refused for want of room, with a RetryInfo.
fn is_overload(status: &Status) -> bool {
    let has = |what: &[u8]| status.details().windows(what.len()).any(|window| window == what);
    status.code() == Code::ResourceExhausted && has(b"OVERLOADED") && has(b"google.rpc.RetryInfo")
}

/// A faulty client: it opens connection after connection, begins a call on each, and keeps them all.
pub(super) async fn hoard(server: SocketAddr, traffic: Arc<Traffic>) {
    let mut kept = Vec::new();
    loop {
        let hoarded = async {
            let peer = Peer::connect(server, Taking::Much).await?;
            let request = &traffic.answered.large[0].request;
            let (answer, mut body) = peer.begin(&request.path, None).await?;
            peer::send(&mut body, request.messages[0].slice(..100_000), false);
            Result::Ok((peer, answer, body))
        };
        match hoarded.await {
            Ok(hoarded) => kept.push(hoarded),
            Err(failure) => traffic.failed("hoarding", &failure),
        }
        sleep(Duration::from_millis(200)).await;
    }
}
