//! Required fields, for which any default would be harmful: a call without one is refused, and the field is named.

use evenkeel_proto::v1 as pb;
use pb::ClipMode;

use crate::harness::{clip, dropout, f32s, start, violation};

fn input() -> pb::Tensor {
    f32s(&[2, 3], &[1.0, -2.0, 3.0, -4.0, 5.0, -6.0])
}

/// Row 49: a default threshold of 0 would make every gradient 0.
#[tokio::test]
async fn a_threshold_that_is_not_sent_is_refused() {
    let (_server, mut client) = start().await;
    for mode in [ClipMode::Norm, ClipMode::Value, ClipMode::NormPerTensor] {
        let request = pb::ClipGradientsRequest { threshold: None, ..clip(mode, 1.0, vec![input()]) };
        let (field, reason) = violation(client.clip_gradients(request).await);
        assert_eq!((&*field, &*reason), ("threshold", "is required"), "{mode:?}");
        let zero = clip(mode, 0.0, vec![input()]);
        client.clip_gradients(zero).await.expect("0 is a threshold, if it is sent");
    }
}

/// Row 49: a default probability of 0 would keep everything.
#[tokio::test]
async fn a_probability_that_is_not_sent_is_refused() {
    let (_server, mut client) = start().await;
    let forward = pb::DropoutRequest { p: None, ..dropout(0.5, input()) };
    assert_eq!(violation(client.dropout(forward).await), ("p".to_owned(), "is required".to_owned()));
    let backward = pb::DropoutBackwardRequest { grad_output: Some(input()), ..Default::default() };
    assert_eq!(violation(client.dropout_backward(backward).await), ("p".to_owned(), "is required".to_owned()));

    client.dropout(dropout(0.0, input())).await.expect("0 is a probability, if it is sent");
    let backward = pb::DropoutBackwardRequest { p: Some(0.0), grad_output: Some(input()), ..Default::default() };
    client.dropout_backward(backward).await.expect("0 is a probability, if it is sent");
}
