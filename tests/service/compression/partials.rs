//! Row 40: partials that are short when they are compressed, and take much memory when they are decoded.

use evenkeel::config::Encoding;
use tokio::task::JoinSet;
use tonic::Code;

use super::{BOTH, bombs::call, compress};
use crate::{
    beside::{MIB, beside},
    demands::many_parts,
    harness::error_info,
    peer::Peer,
    process::Process,
    until::until,
};

#[tokio::test(flavor = "multi_thread")]
async fn compressed_partials_take_no_more_than_the_budget() {
    const BUDGET: usize = 64 * MIB;
    /// With the budget, the process usually grows by 40 MiB; by 162 if what messages become is not counted.
    const BESIDE: usize = 64 * MIB;
    let process = Process::start(
        &[
            "--listen=127.0.0.1:0",
            "--log-level=warn",
            "--compression=gzip,zstd",
            // So many messages are decoded at once.
            "--threads=8",
            "--max-message-bytes=16777216",
            "--max-bytes-in-flight=67108864",
        ],
        &[],
    );
    let address = process.address();
    let attack = async move {
        let mut callers = JoinSet::new();
        for (method, message) in many_parts() {
            for encoding in BOTH {
                let compressed = compress(encoding, &message);
                assert!(compressed.len() < message.len() / 50, "{method}: {} bytes", compressed.len());
                for _ in 0..24 {
                    let compressed = compressed.clone();
                    callers.spawn(
                        async move { served(&Peer::connect(address).await, method, encoding, &compressed).await },
                    );
                }
            }
        }
        callers.join_all().await;
    };
    beside(&process, BUDGET + BESIDE, attack).await;
    // So many at once may all be refused. One alone has room.
    for (method, message) in many_parts() {
        let alone = compress(Encoding::Gzip, &message);
        let peer = Peer::connect(address).await;
        until("a lone call is served", async || served(&peer, method, Encoding::Gzip, &alone).await).await;
    }
}

/// Whether the call was served; if not, it was refused for lack of memory.
async fn served(peer: &Peer, method: &str, encoding: Encoding, message: &[u8]) -> bool {
    let status = call(peer, method, encoding, message).await;
    if status.code() != Code::Ok {
        assert_eq!(error_info(&status).reason, "OVERLOADED", "{method}: {status:?}");
    }
    status.code() == Code::Ok
}
