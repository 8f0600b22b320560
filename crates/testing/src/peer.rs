//! A client of HTTP/2 for behaviour that clients of gRPC do not have: it can stop in the middle, take nothing, and send any bytes.

use std::net::SocketAddr;

use bytes::Bytes;
use evenkeel::server::Running;
use h2::{
    RecvStream, SendStream,
    client::{Builder, ResponseFuture, SendRequest},
};
use http::{HeaderMap, Request};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpSocket, TcpStream},
    task::JoinHandle,
};
use tonic::{Code, Status};

pub use crate::frames::{framed, prefix};
use crate::until::within;

/// The first bytes of an HTTP/2 client: the magic line, and settings that change nothing.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The address of a server on a TCP port.
pub fn address(server: &Running) -> SocketAddr {
    server.local_addr().expect("it is a TCP port")
}

/// A connection from this local address, say 127.0.0.2.
pub async fn tcp_from(local: [u8; 4], server: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((local, 0).into()).expect("all of 127.0.0.0/8 is this machine");
    socket.connect(server).await.expect("the server listens")
}

/// A connection that speaks HTTP/2.
#[derive(Debug)]
pub struct Peer {
    requests: SendRequest<Bytes>,
    /// Ends when the connection does.
    pub connection: JoinHandle<Result<(), h2::Error>>,
}

impl Peer {
    /// A connection to this server.
    pub async fn connect(server: SocketAddr) -> Self {
        Self::with(&Builder::new(), server).await
    }

    /// A connection with these settings.
    pub async fn with(settings: &Builder, server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).await.expect("the server listens");
        Self::over(settings, stream).await.expect("the server speaks HTTP/2")
    }

    /// A connection over any stream.
    ///
    /// # Errors
    /// The server does not speak HTTP/2.
    pub async fn over<S>(settings: &Builder, stream: S) -> Result<Self, h2::Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (requests, connection) = settings.handshake(stream).await?;
        Ok(Self { requests, connection: tokio::spawn(connection) })
    }

    /// Begins a call of the tensor service.
    pub async fn begin(&self, method: &str) -> (ResponseFuture, SendStream<Bytes>) {
        self.send(request(method)).await.expect("the connection is open")
    }

    /// Begins any request.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn send(&self, request: Request<()>) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        self.requests.clone().ready().await?.send_request(request, false)
    }

    /// Makes a call with this message, and returns its status.
    ///
    /// # Errors
    /// The stream or the connection is gone.
    pub async fn call(&self, method: &str, message: &[u8]) -> Result<Status, h2::Error> {
        let (answer, mut body) = self.send(request(method)).await?;
        body.send_data(framed(message), true)?;
        status(answer).await
    }
}

/// A request that begins a call of the tensor service.
pub fn request(method: &str) -> Request<()> {
    request_to(&format!("evenkeel.v1.TensorOpsService/{method}"))
}

/// A request that begins a call: `grpc.health.v1.Health/Check`.
pub fn request_to(path: &str) -> Request<()> {
    Request::post(format!("http://evenkeel/{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .expect("a request")
}

/// The status with which a call ends. The messages of the response are read and dropped.
///
/// # Errors
/// The stream or the connection is gone.
pub async fn status(answer: ResponseFuture) -> Result<Status, h2::Error> {
    within("the call ends", status_in_the_end(answer)).await
}

async fn status_in_the_end(answer: ResponseFuture) -> Result<Status, h2::Error> {
    let (head, mut body) = answer.await?.into_parts();
    assert_eq!(head.status, 200);
    if let Some(status) = Status::from_header_map(&head.headers) {
        return Ok(status);
    }
    let trailers = drain(&mut body).await?.expect("the answer has trailers");
    Ok(Status::from_header_map(&trailers).unwrap_or_else(|| Status::new(Code::Unknown, "there is no grpc-status")))
}

/// Reads a body to its end.
async fn drain(body: &mut RecvStream) -> Result<Option<HeaderMap>, h2::Error> {
    while let Some(data) = body.data().await {
        let len = data?.len();
        body.flow_control().release_capacity(len)?;
    }
    body.trailers().await
}
