//! Messages that take long to decompress although they become only a few bytes: they are little but tables of codes.

use std::pin::pin;

use evenkeel_testing::tables::{gzip_of_tables, zstd_of_tables};
use prost::Message as _;
use tokio::task::JoinSet;
use tonic::Code;

use super::{BOTH, bombs, start};
use crate::{
    beside::MIB,
    harness::{dropout, f32s},
    peer::{Peer, address},
    until::within,
};

/// The server and the clients share one thread, so the number of small calls that are answered meanwhile tells how
/// often the thread was free.
#[tokio::test]
async fn tables_leave_turns_to_others() {
    const CONNECTIONS: usize = 4;
    let server = start(&BOTH, false).await;
    let small = dropout(0.0, f32s(&[1], &[1.0])).encode_to_vec();
    let caller = Peer::connect(address(&server)).await;
    let messages = [gzip_of_tables(8 * MIB * 8 / 91), zstd_of_tables(MIB / 2 / 26)];
    for (encoding, message) in BOTH.into_iter().zip(messages) {
        let mut attack = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let (peer, message) = (Peer::connect(address(&server)).await, message.clone());
            attack.spawn(async move { bombs::call(&peer, "Normalize", encoding, &message).await });
        }
        let mut attack = pin!(within("the attack ends", attack.join_all()));
        let mut served = 0;
        let statuses = loop {
            tokio::select! {
                biased;
                statuses = &mut attack => break statuses,
                answer = caller.call("Dropout", &small) => {
                    assert_eq!(answer.expect("the connection is open").code(), Code::Ok);
                    served += 1;
                }
            }
        };
        // It was decompressed, and the result is no request.
        let refused = |code| matches!(code, Code::InvalidArgument | Code::Internal);
        assert!(statuses.iter().all(|status| refused(status.code())), "{statuses:?}");
        // Usually 85 for either. When a step was bounded by the bytes that it writes, and not by those that it reads,
        // it was 5 with gzip and 2 with zstd.
        assert!(served >= 20, "{encoding:?}: {served} calls in between");
    }
}
