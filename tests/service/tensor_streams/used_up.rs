//! Row 37 for streams of tensors: the answer has used up the client's window to the byte, and the client falls silent. No write
//! waits then, so only the read of the request can tell that nothing comes.

use std::time::Duration;

use bytes::Bytes;
use evenkeel::server::Running;
use h2::client::Builder;
use tonic::{Code, Status};

use super::hostile::{beginnings, chunk, start, until_all_is_free};
use crate::{
    beside::MIB,
    peer::{Peer, address},
    until::within,
};

/// The bytes of the answer that fit into a window which is never renewed, and the status, or `None` if the stream is reset: for a
/// client that sends `request` and then nothing.
async fn answered(server: &Running, method: &str, request: &Bytes, window: usize) -> (usize, Option<Status>) {
    let mut settings = Builder::new();
    settings.initial_window_size(window as u32).initial_connection_window_size(MIB as u32);
    let peer = Peer::with(&settings, address(server)).await;
    let (answer, mut body) = peer.begin(method).await;
    body.send_data(request.clone(), false).expect("the connection is open");
    let mut answer = within("the answer begins", answer).await.expect("an answer").into_body();
    let mut came = 0;
    while let Some(data) = within("the answer ends", answer.data()).await {
        match data {
            Ok(data) => came += data.len(),
            Err(_) => return (came, None),
        }
    }
    let trailers = within("the answer ends", answer.trailers()).await.ok().flatten();
    (came, trailers.map(|trailers| Status::from_header_map(&trailers).expect("there is a status")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_window_is_used_up_to_the_byte_is_answered_when_it_falls_silent() {
    let server = start(Duration::from_millis(200)).await;
    for (method, beginning) in beginnings(1 << 20) {
        let request = Bytes::from([beginning, chunk(&vec![0; 1 << 16])].concat());
        let (whole, status) = answered(&server, method, &request, MIB).await;
        assert_eq!(status.expect("a status").code(), Code::DeadlineExceeded, "{method}");
        assert!(whole > 1 << 15, "{method}: a part of the tensor is answered, {whole}");
        for window in [whole, whole + 1] {
            let (came, status) = answered(&server, method, &request, window).await;
            assert_eq!(came, whole, "{method} in a window of {window}");
            assert_eq!(status.expect("a status").code(), Code::DeadlineExceeded, "{method} in a window of {window}");
        }
        // One byte waits to be taken. The client is cut off for it, or for its silence.
        let (came, status) = answered(&server, method, &request, whole - 1).await;
        assert!(
            came < whole && status.is_none_or(|status| status.code() == Code::DeadlineExceeded),
            "{method}: {came}"
        );
        until_all_is_free(&server).await;
    }
}
