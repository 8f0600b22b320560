//! A client that can also misbehave: leave in the middle of a call, stall, announce bytes that it does not send.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::{RecvStream, SendStream, client, client::ResponseFuture};
use http::{HeaderMap, StatusCode};
use tokio::{net::TcpStream, task::JoinHandle};
use tonic::Status;

use super::catalogue::Request;
use crate::{Failure, Result};

/// The flow-control window and the frame size of a client.
#[derive(Clone, Copy, Debug)]
pub(super) enum Taking {
    /// Frames of 1 MiB, as in evenkeel's client, and large windows.
    Much,
    /// Frames of 16 KiB and HTTP/2's default window: responses wait for their reader.
    Little,
}

/// A connection. Dropping it closes it at once, with all calls on it.
#[derive(Debug)]
pub(super) struct Peer {
    requests: client::SendRequest<Bytes>,
    driver: JoinHandle<()>,
}

/// How a call ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: Status,
    /// The bytes of the response, including prefixes.
    pub(super) bytes: usize,
}

impl Peer {
    pub(super) async fn connect(address: SocketAddr, taking: Taking) -> Result<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let mut settings = client::Builder::new();
        settings.enable_push(false);
        if let Taking::Much = taking {
            settings.max_frame_size(1 << 20).initial_window_size(4 << 20).initial_connection_window_size(16 << 20);
        }
        let (requests, connection) = settings.handshake(socket).await?;
        // The calls report an error of the connection.
        let driver = tokio::spawn(async { _ = connection.await });
        Ok(Self { requests, driver })
    }

    /// Sends the headers of a call; `timeout` as `grpc-timeout` has it.
    pub(super) async fn begin(&self, path: &str, timeout: Option<&str>) -> Result<(ResponseFuture, SendStream<Bytes>)> {
        let mut request = http::Request::post(format!("http://localhost{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if let Some(timeout) = timeout {
            request = request.header("grpc-timeout", timeout);
        }
        Ok(self.requests.clone().ready().await?.send_request(request.body(())?, false)?)
    }

    /// Makes a call; `take` gets the bytes of the response as they arrive.
    pub(super) async fn call(
        &self,
        request: &Request,
        timeout: Option<&str>,
        take: impl FnMut(&[u8]),
    ) -> Result<Ended> {
        let (answer, mut body) = self.begin(&request.path, timeout).await?;
        let last = request.messages.len().saturating_sub(1);
        for (index, message) in request.messages.iter().enumerate() {
            if !send(&mut body, message.clone(), index == last) {
                break;
            }
        }
        end(answer, take).await
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Sends a part of a request; `last` ends the request. False if the server has already ended the call: the response has the
/// reason.
pub(super) fn send(body: &mut SendStream<Bytes>, part: Bytes, last: bool) -> bool {
    body.send_data(part, last).is_ok()
}

/// Reads a response to its end.
pub(super) async fn end(answer: ResponseFuture, mut take: impl FnMut(&[u8])) -> Result<Ended> {
    let (head, mut body) = answer.await?.into_parts();
    if head.status != StatusCode::OK {
        return Err(format!("HTTP status {}", head.status).into());
    }
    // A response without a message has its status in the headers.
    if let Some(status) = Status::from_header_map(&head.headers) {
        return Ok(Ended { status, bytes: 0 });
    }
    let mut bytes = 0;
    while let Some(frame) = body.data().await {
        let frame = frame?;
        take(&frame);
        bytes += frame.len();
        body.flow_control().release_capacity(frame.len())?;
    }
    Ok(Ended { status: status(&trailers(&mut body).await?)?, bytes })
}

async fn trailers(body: &mut RecvStream) -> Result<HeaderMap> {
    Ok(body.trailers().await?.ok_or("the answer has no trailers")?)
}

fn status(trailers: &HeaderMap) -> Result<Status> {
    Status::from_header_map(trailers).ok_or_else(|| Failure::from("the trailers have no grpc-status"))
}
