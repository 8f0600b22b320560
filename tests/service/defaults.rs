//! Rows 35 to 37 with a server's default limits: what it promises holds without any setting.

use std::time::{Duration, Instant};

use evenkeel_proto::v1 as pb;
use h2::client::Builder;
use pb::NormKind;
use prost::Message as _;
use rustix::process::Signal;

use crate::{
    beside::{MIB, beside},
    demands::BESIDE,
    harness::{f32s, normalize},
    peer::{Peer, framed},
    process::Process,
    streams::health_answers,
};

/// The default budget.
const BUDGET: usize = 1024 * MIB;

/// Answers of 64 MB, to requests of a few bytes, that are not taken: 64 of them, and room for some fifteen. Health is answered
/// meanwhile on new connections, and SIGTERM waits for them no longer than the drain timeout and a second.
#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_larger_than_their_requests_and_not_taken() {
    const CALLS: usize = 64;
    const DRAIN: Duration = Duration::from_secs(2);
    let process = Process::start(&["--listen=127.0.0.1:0", "--log-level=error", "--drain-timeout=2s"], &[]);
    let input = f32s(&[8_000_000, 0], &[]);
    let asked = pb::NormalizeRequest { return_statistics: true, ..normalize(NormKind::Layer, input) };
    let message = framed(&asked.encode_to_vec());
    let mut longest = Duration::ZERO;
    let attack = async {
        let mut untaken = Vec::new();
        for _ in 0..CALLS / 8 {
            let peer = Peer::with(Builder::new().initial_window_size(100), process.address()).await;
            let mut answers = Vec::new();
            for _ in 0..8 {
                let (answer, mut body) = peer.begin("Normalize").await;
                // An error means that the call was refused.
                let _ = body.send_data(message.clone(), true);
                answers.push(answer);
            }
            let asked = Instant::now();
            health_answers(&process).await;
            longest = longest.max(asked.elapsed());
            for answer in answers {
                let answer = answer.await.expect("headers");
                if !answer.headers().contains_key("grpc-status") {
                    untaken.push(answer);
                }
            }
        }
        untaken
    };
    let untaken = beside(&process, BUDGET + BESIDE, attack).await;
    assert!((1..CALLS / 2).contains(&untaken.len()), "{} answers of {CALLS}", untaken.len());
    // A second is promised. Usually it is 0.1 s.
    assert!(longest < Duration::from_secs(10), "health was answered after {longest:?}");
    let told = Instant::now();
    process.stop(Signal::TERM);
    let took = told.elapsed();
    assert!(took >= DRAIN && took < DRAIN + Duration::from_secs(8), "it has ended after {took:?}");
}
