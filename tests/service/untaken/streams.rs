//! Streams of tensors whose responses are not taken.

use super::*;

/// What a stream is charged for its chunks.
const CHUNKS: usize = 13 << 16;

/// The request's bytes that are in memory, and the pieces of the response, are in the budget until the client leaves.
#[tokio::test]
async fn they_are_in_the_budget_until_they_are_gone() {
    let server = start(Duration::ZERO, false).await;
    for window in WINDOWS {
        let peer = Peer::with(&granting(window), address(&server)).await;
        let mut answers = Vec::new();
        for (name, messages) in streams(ELEMENTS) {
            answers.push(send(&peer, request(name), messages.into()).await);
        }
        others_are_served(&server).await;
        let calls = answers.len();
        until_at(&server, CALLS, calls as f64).await;
        let held = scrape(&server).await[BYTES];
        assert!(held >= (calls * CHUNKS) as f64, "{held} bytes with a window of {window}");
        // The client resets one stream, and then leaves.
        answers.pop();
        until_at(&server, CALLS, (calls - 1) as f64).await;
        drop(answers);
        peer.connection.abort();
        until_at(&server, CALLS, 0.0).await;
        until_at(&server, BYTES, 0.0).await;
    }
}
