//! A server whose answers the test sends, when it wants to: it takes any call, and does nothing of its own.

use std::{net::SocketAddr, sync::mpsc, thread};

use bytes::Bytes;
use h2::{
    RecvStream,
    server::{self, SendResponse},
};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use tokio::{net::TcpListener, sync::oneshot};

use crate::{
    frames::framed,
    until::{NEVER, in_vain},
};

/// The server, on a free port. When this has been dropped, its connections are closed.
#[derive(Debug)]
pub struct Stub {
    /// Where it listens.
    pub address: SocketAddr,
    calls: mpsc::Receiver<Held>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// A call that waits for its answer. If this is dropped, the call is reset.
#[derive(Debug)]
pub struct Held {
    /// The request's path.
    pub path: String,
    response: SendResponse<Bytes>,
}

impl Stub {
    /// Starts it.
    pub fn start() -> Self {
        let (address, listens) = mpsc::channel();
        let (calls, held) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
            runtime.block_on(async {
                let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("there is a free port");
                address.send(listener.local_addr().expect("it is bound")).expect("the test waits for it");
                tokio::select! {
                    () = accept(listener, calls) => {}
                    _ = stopped => {}
                }
            });
        });
        let address = listens.recv_timeout(NEVER).expect("it listens");
        Self { address, calls: held, stop: Some(stop), thread: Some(thread) }
    }

    /// The next call.
    pub fn call(&self) -> Held {
        self.calls.recv_timeout(NEVER).unwrap_or_else(|_| panic!("{}", in_vain("there is another call")))
    }

    /// The next call, if one has come.
    pub fn call_now(&self) -> Option<Held> {
        self.calls.try_recv().ok()
    }
}

impl Drop for Stub {
    /// Waits until the connections are closed: a call that is dropped after this one is not reset before its connection ends.
    fn drop(&mut self) {
        drop(self.stop.take());
        // A panic of the server has been printed, and its test fails without it.
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

async fn accept(listener: TcpListener, calls: mpsc::Sender<Held>) {
    loop {
        let (socket, _) = listener.accept().await.expect("the listener is open");
        let calls = calls.clone();
        tokio::spawn(async move {
            let Ok(mut connection) = server::handshake(socket).await else { return };
            while let Some(Ok((request, response))) = connection.accept().await {
                let path = request.uri().path().to_owned();
                tokio::spawn(drain(request.into_body()));
                if calls.send(Held { path, response }).is_err() {
                    return;
                }
            }
        });
    }
}

/// Takes a request's body.
async fn drain(mut body: RecvStream) {
    while let Some(Ok(data)) = body.data().await {
        if body.flow_control().release_capacity(data.len()).is_err() {
            return;
        }
    }
}

impl Held {
    /// Answers with this message. A client that has gone is no error.
    pub fn answer(self, message: &[u8]) {
        self.end(Some(framed(message)), "0", "");
    }

    /// Answers with a status alone.
    pub fn fail(self, code: &'static str, message: &'static str) {
        self.end(None, code, message);
    }

    fn end(mut self, data: Option<Bytes>, code: &'static str, message: &'static str) {
        let head = Response::builder().header("content-type", "application/grpc").body(()).expect("a response");
        let Ok(mut body) = self.response.send_response(head, false) else { return };
        let mut trailers =
            HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), HeaderValue::from_static(code))]);
        if !message.is_empty() {
            trailers.insert("grpc-message", HeaderValue::from_static(message));
        }
        // The client may have given the call up.
        let _ = data.map(|data| body.send_data(data, false));
        let _ = body.send_trailers(trailers);
    }
}
