//! What every test with a hostile client checks: another caller is served meanwhile, and the memory of the process
//! stays bounded. `tests/bad-inputs.md` lists the tests of each kind of bad input.

use std::{pin::pin, time::Duration};

use evenkeel_proto::v1 as pb;
use pb::NormKind;
use prost::Message as _;
use tokio::time::sleep;
use tonic::{Code, Request};

use crate::{
    harness::{Client, f32s, normalize},
    peer::Peer,
    process::Process,
    until::within,
};

pub(crate) const MIB: usize = 1 << 20;
/// How much the process may grow while no call holds a message: for connections, streams, and freed memory that the
/// allocator keeps. The usual growth is 6 to 17 MiB for floods of frames, and 0 to 3 MiB for the others.
pub(crate) const LITTLE: usize = 48 * MIB;

/// The other caller, whose calls must be answered during the attack.
pub(crate) enum Caller {
    /// Over plain text, with this token, if any.
    Plain { client: Client, token: Option<&'static str> },
    /// Over a connection that the test has made, for example with TLS.
    Over(Peer),
}

impl Caller {
    /// Makes one small normalization; any answer but OK fails the test.
    async fn call(&mut self) -> Option<pb::NormalizeResponse> {
        let request = normalize(NormKind::Layer, f32s(&[2, 3], &[1.0, 2.0, 3.0, 1e6, 1e-6, 0.0]));
        match self {
            Self::Plain { client, token } => {
                let mut request = Request::new(request);
                if let Some(token) = token {
                    let value = format!("Bearer {token}").parse().expect("a header's value");
                    request.metadata_mut().insert("authorization", value);
                }
                Some(client.normalize(request).await.expect("it serves beside them").into_inner())
            }
            Self::Over(peer) => {
                let status = peer.call("Normalize", &request.encode_to_vec()).await.expect("the connection is open");
                assert_eq!(status.code(), Code::Ok, "it serves beside them: {status:?}");
                None
            }
        }
    }
}

/// Runs the attack while another caller makes calls, until the attack ends and once more after it; the process may grow
/// by so many bytes.
pub(crate) async fn beside<T>(process: &Process, most: usize, attack: impl Future<Output = T>) -> T {
    let caller = Caller::Plain { client: process.client().await, token: None };
    beside_caller(process, caller, most, attack).await
}

/// As [`beside`], with a caller that is connected already.
pub(crate) async fn beside_caller<T>(
    process: &Process,
    mut caller: Caller,
    most: usize,
    attack: impl Future<Output = T>,
) -> T {
    let expected = caller.call().await;
    let before = process.memory("VmRSS");
    let mut attack = pin!(within("the attack ends", attack));
    let mut result = None;
    loop {
        let answer = within("it answers beside them", caller.call()).await;
        assert_eq!(answer, expected);
        let grown = process.memory("VmHWM").saturating_sub(before);
        assert!(grown < most, "{grown} bytes");
        if let Some(result) = result {
            // The usual growth, from which the bounds are chosen: `cargo test --test service -- --nocapture`.
            eprintln!("grew by {:.1} of {} MiB", grown as f64 / MIB as f64, most / MIB);
            return result;
        }
        tokio::select! {
            ended = &mut attack => result = Some(ended),
            () = sleep(Duration::from_millis(1)) => (),
        }
    }
}
