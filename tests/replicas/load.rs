//! Callers that compare every answer to the bit, and repeat a call when that is safe.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use evenkeel_client::{Client, Error, NormKind};
use ndarray::{Array1, Array2};
use tokio::task::JoinSet;

use crate::until::until;

/// A replica that does not answer within this time is asked no longer; calls take some milliseconds.
const TIMEOUT: Duration = Duration::from_secs(4);
/// Callers, each with a connection.
const CALLERS: usize = 6;
const CALLS_OF_A_CONNECTION: usize = 20;
/// Elements of the smallest tensor. A third of the callers have tensors 64 times as large, and a third 256 times (1
/// MiB).
const SMALLEST: usize = 1 << 10;

/// The outcomes of calls so far.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    stop: AtomicBool,
    /// Calls that were answered, all of them right.
    right: AtomicUsize,
    unavailable: AtomicUsize,
    out_of_time: AtomicUsize,
    panicked: AtomicUsize,
}

impl Counts {
    pub(crate) fn right(&self) -> usize {
        self.right.load(Ordering::Relaxed)
    }

    /// Attempts for which there was no connection, or whose connection broke.
    pub(crate) fn unavailable(&self) -> usize {
        self.unavailable.load(Ordering::Relaxed)
    }

    pub(crate) fn out_of_time(&self) -> usize {
        self.out_of_time.load(Ordering::Relaxed)
    }

    /// Attempts that were answered INTERNAL.
    pub(crate) fn panicked(&self) -> usize {
        self.panicked.load(Ordering::Relaxed)
    }

    /// Waits until so many more calls have been answered.
    pub(crate) async fn more(&self, calls: usize) {
        let end = self.right() + calls;
        until(&format!("{calls} more calls are answered"), async || self.right() >= end).await;
    }

    /// Waits until `count` is above `before`.
    pub(crate) async fn above(&self, before: usize, count: fn(&Self) -> usize) {
        until(&format!("a count above {before}"), async || count(self) > before).await;
    }
}

/// Callers that call until they are told to stop.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) counts: Arc<Counts>,
    callers: JoinSet<()>,
}

impl Load {
    /// Starts callers of `address`.
    pub(crate) fn start(address: SocketAddr) -> Self {
        let counts = Arc::<Counts>::default();
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let counts = Arc::clone(&counts);
            callers.spawn(async move { call(caller, address, &counts).await });
        }
        Self { counts, callers }
    }

    /// Stops the callers. Panics if an answer was wrong, or if an error came that must not come.
    pub(crate) async fn stop(mut self) -> Arc<Counts> {
        self.counts.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.callers.join_next().await {
            ended.expect("no answer is wrong, and no error is one that must not come");
        }
        self.counts
    }
}

/// The answers of a caller's requests, as bits.
#[derive(Debug, Default)]
struct Answers {
    known: [Option<Vec<u32>>; 3],
}

async fn call(caller: usize, address: SocketAddr, counts: &Counts) {
    let elements = SMALLEST << [0, 6, 8][caller % 3];
    let input: Vec<f32> = (0..elements).map(|index| ((index * 7919 + caller) % 1009) as f32 / 64.0 - 7.0).collect();
    let flat = Array1::from(input);
    let rows = Array2::from_shape_vec((elements / 1024, 1024), flat.to_vec()).expect("it divides");
    let mut client = connect(address);
    let mut answers = Answers::default();
    let mut turn = 0_usize;
    while !counts.stop.load(Ordering::Relaxed) {
        let answer = match turn % 3 {
            0 => client.normalize(&rows).kind(NormKind::Layer).send().await.map(|answer| bits(answer.output)),
            1 => client.dropout(&flat, 0.25, 42).send().await.map(|answer| bits(answer.output)),
            _ => clip(&client, &flat).await,
        };
        match answer {
            Ok(answer) => {
                // The first answer is the reference for those that follow, from whichever replica.
                let known = answers.known[turn % 3].get_or_insert_with(|| answer.clone());
                assert!(*known == answer, "caller {caller} was answered something else than before");
                counts.right.fetch_add(1, Ordering::Relaxed);
                turn += 1;
                // With a new connection now and then, a replica that comes back gets callers again.
                if turn.is_multiple_of(CALLS_OF_A_CONNECTION) {
                    client = connect(address);
                }
                continue;
            }
            Err(Error::Unavailable { .. }) => counts.unavailable.fetch_add(1, Ordering::Relaxed),
            Err(Error::DeadlineExceeded { .. }) => counts.out_of_time.fetch_add(1, Ordering::Relaxed),
            Err(Error::Status(status)) if status.code() == tonic::Code::Internal => {
                counts.panicked.fetch_add(1, Ordering::Relaxed)
            }
            Err(error) => panic!("caller {caller}: {error:?}"),
        };
        // Another connection, and with it perhaps another replica. The calls change nothing: all can be made again.
        client = connect(address);
        tokio::task::yield_now().await;
    }
}

fn connect(address: SocketAddr) -> Client {
    Client::builder().timeout(TIMEOUT).retries(0).connect_lazy(format!("http://{address}")).expect("the URL is one")
}

async fn clip(client: &Client, gradient: &Array1<f32>) -> Result<Vec<u32>, Error> {
    let answer = client.clip_gradients([("gradient", gradient.clone())]).by_norm(1.0).send().await?;
    let norm = answer.total_norm.to_bits();
    let gradient = answer.gradients.into_iter().next().expect("one gradient").tensor;
    let gradient: Array1<f32> = gradient.try_into().expect("it is float32, of one dimension");
    Ok(bits(gradient).into_iter().chain([norm as u32, (norm >> 32) as u32]).collect())
}

fn bits<D: ndarray::Dimension>(array: ndarray::Array<f32, D>) -> Vec<u32> {
    array.iter().map(|x| x.to_bits()).collect()
}
