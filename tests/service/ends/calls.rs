//! Calls that end in every way.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use evenkeel::{
    CheckpointHook,
    config::{AdmissionConfig, ConnectionConfig, SecurityConfig, ServerConfig},
    server::Running,
};
use evenkeel_proto::v1::{self as pb, NormKind};
use h2::{Reason, client::Builder};
use prost::Message as _;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tonic::{Code, codegen::http::Request};

use super::{
    refusals::Refusal,
    table::{End, Row},
};
use crate::{
    harness::{dropout, f32s, normalize},
    peer::{Peer, address, framed, prefix, request, status},
    until::until,
};

/// A server for one call.
pub(super) struct Server {
    pub(super) running: Running,
    pub(super) peer: Peer,
    /// A kernel has come to a checkpoint.
    reached: tokio::sync::Mutex<mpsc::UnboundedReceiver<()>>,
    /// The parts of the call that the client must not drop until the server has ended.
    pub(super) held: std::sync::Mutex<Vec<Box<dyn Send>>>,
    _folder: TempDir,
}

/// A message whose tensor is computed while it arrives.
fn large() -> Bytes {
    framed(&normalize(NormKind::Layer, f32s(&[300, 1000], &[1.0; 300_000])).encode_to_vec())
}

fn small() -> Bytes {
    framed(&dropout(0.5, f32s(&[2, 2], &[1.0; 4])).encode_to_vec())
}

fn measured() -> Bytes {
    let gradients = vec![f32s(&[2], &[3.0, 4.0])];
    framed(&pb::MeasureGradientsRequest { gradients, ..Default::default() }.encode_to_vec())
}

/// Waits at each checkpoint until the call is cancelled.
fn holding(at_checkpoint: mpsc::UnboundedSender<()>) -> CheckpointHook {
    CheckpointHook::new(move |checkpoint| {
        // At the end of the test the receiver may be gone.
        let _ = at_checkpoint.send(());
        while checkpoint.check().is_ok() {
            thread::yield_now();
        }
    })
}

/// Panics at the checkpoint of this number, counted over all threads.
fn panicking(at: usize) -> CheckpointHook {
    let asked = Arc::<AtomicUsize>::default();
    CheckpointHook::that_never_waits(move |_| {
        assert_ne!(asked.fetch_add(1, Ordering::Relaxed) + 1, at, "on purpose");
    })
}

impl Server {
    pub(super) async fn start(end: End, config: ServerConfig) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let (at_checkpoint, reached) = mpsc::unbounded_channel();
        let mut config = config;
        match end {
            End::Late | End::LeavesComputing | End::DrainedComputing => {
                config.on_checkpoint = Some(holding(at_checkpoint));
            }
            End::Panics => config.on_checkpoint = Some(CheckpointHook::new(|_| panic!("on purpose"))),
            End::PanicsInline | End::PanicsStreaming | End::PanicsFirst => config.on_checkpoint = Some(panicking(1)),
            // Earlier checkpoints belong to the first pieces of the answer, which have been sent by then.
            End::PanicsInPieces => config.on_checkpoint = Some(panicking(12)),
            End::NoToken => {
                let tokens = folder.path().join("tokens");
                fs::write(&tokens, "secret").expect("it can be written");
                config.security = SecurityConfig { auth_token_file: Some(tokens), ..Default::default() };
            }
            End::TooManyParts => {
                config.max_message_bytes = 1 << 20;
                config.admission = AdmissionConfig { max_bytes_in_flight: Some(2 << 20), ..Default::default() };
            }
            End::CutForItsAge => {
                config.connections = ConnectionConfig {
                    max_connection_age: Duration::from_millis(50),
                    max_connection_age_grace: Duration::from_millis(50),
                    ..Default::default()
                };
            }
            End::TooLarge => config.max_message_bytes = 2048,
            End::Refused(refusal) => {
                refusal.configure(&mut config);
                if refusal == Refusal::Queue {
                    config.on_checkpoint = Some(holding(at_checkpoint));
                }
            }
            End::Silent | End::TakesNothing => {
                let body_timeout = Duration::from_millis(100);
                config.connections = ConnectionConfig { body_timeout, ..Default::default() };
            }
            End::Answered
            | End::AnsweredInPieces
            | End::Measured
            | End::WrongArgument
            | End::NoMessage
            | End::Unreadable
            | End::CutOff
            | End::UnknownMethod
            | End::UnknownEncoding
            | End::TooMuchMetadata
            | End::NoCall
            | End::Health
            | End::Reflection
            | End::LateFromTheStart
            | End::WatchesTooLong
            | End::WrongDeadline
            | End::LeavesSending
            | End::LeavesStreaming
            | End::Resets(_)
            | End::EndsShort(_)
            | End::BreaksSending
            | End::LeavesInPieces
            | End::LeavesReading
            | End::DrainedSending => (),
        }
        if end.is_of_the_drain() {
            config.drain_timeout = Duration::from_millis(1);
        }
        let running = Running::start(config).await.expect("the server starts");
        let mut settings = Builder::new();
        if matches!(end, End::TakesNothing | End::LeavesReading) {
            settings.initial_window_size(0);
        }
        let peer = Peer::with(&settings, address(&running)).await;
        Self { running, peer, reached: reached.into(), held: std::sync::Mutex::default(), _folder: folder }
    }

    /// A call that is answered, with this `traceparent`.
    pub(super) async fn call_within(&self, trace_id: &str) {
        let mut request = request("Dropout");
        let parent = format!("00-{trace_id}-b7ad6b7169203331-01").parse().expect("a value");
        request.headers_mut().insert("traceparent", parent);
        let (answer, mut body) = self.peer.send(request).await.expect("the connection is open");
        body.send_data(small(), true).expect("the connection is open");
        assert_eq!(status(answer).await.expect("an answer").code(), Code::Ok);
    }

    fn keep(&self, what: impl Send + 'static) {
        self.held.lock().expect("no holder panics").push(Box::new(what));
    }

    /// Sends all of a request, and reads its status.
    pub(super) async fn whole(&self, request: Request<()>, bytes: Bytes) -> Code {
        let (answer, mut body) = self.peer.send(request).await.expect("the connection is open");
        // An error means that the call has been answered.
        let _ = body.send_data(bytes, true);
        status(answer).await.expect("an answer").code()
    }

    /// Begins a call, and sends this much of it.
    pub(super) async fn begin(
        &self,
        method: &str,
        bytes: Bytes,
    ) -> (h2::client::ResponseFuture, h2::SendStream<Bytes>) {
        let (answer, mut body) = self.peer.begin(method).await;
        body.send_data(bytes, false).expect("the connection is open");
        (answer, body)
    }

    /// Waits until the server has read this many bytes of requests.
    async fn received(&self, bytes: usize) {
        let received = async || {
            let all = crate::metrics::scrape(&self.running).await.into_iter();
            all.filter(|(series, _)| series.starts_with("evenkeel_received_bytes")).map(|(_, bytes)| bytes).sum::<f64>()
        };
        until(&format!("{bytes} bytes are received"), async || received().await >= bytes as f64).await;
    }

    pub(super) async fn at_checkpoint(&self) {
        self.reached.lock().await.recv().await.expect("the kernel comes to its checkpoint");
    }
}

impl End {
    /// Makes the call, and makes it end in this way.
    pub(super) async fn make(self, server: &Server) {
        let dropout_with = |name, value: &str| {
            let mut request = request("Dropout");
            request.headers_mut().insert(name, value.parse().expect("a value"));
            request
        };
        let to = |path: &str, method: &str| {
            let request = Request::builder().method(method).uri(format!("http://evenkeel{path}"));
            let request = request.header("content-type", "application/grpc").header("te", "trailers");
            request.body(()).expect("a request")
        };
        let Row { method, code, .. } = self.row();
        match self {
            Self::Answered => assert_eq!(server.whole(request("Dropout"), small()).await, code),
            Self::AnsweredInPieces => assert_eq!(server.whole(request("Normalize"), large()).await, code),
            Self::Measured => assert_eq!(server.whole(request("MeasureGradients"), measured()).await, code),
            Self::WrongArgument => {
                let wrong = framed(&dropout(7.0, f32s(&[1], &[1.0])).encode_to_vec());
                assert_eq!(server.whole(request("Dropout"), wrong).await, code);
            }
            Self::TooManyParts => {
                let many = framed(&b"\x7A\x00".repeat(10_000));
                assert_eq!(server.whole(request("Dropout"), many).await, code);
            }
            Self::NoToken => assert_eq!(server.whole(request("Dropout"), small()).await, code),
            Self::NoMessage => assert_eq!(server.whole(request("Dropout"), Bytes::new()).await, code),
            Self::Unreadable => assert_eq!(server.whole(request("Dropout"), framed(&[0xFF; 10])).await, code),
            Self::CutOff => {
                assert_eq!(server.whole(request("Normalize"), large().slice(..600_000)).await, code);
            }
            Self::TooLarge => {
                let large = framed(&dropout(0.5, f32s(&[1000], &[1.0; 1000])).encode_to_vec());
                assert_eq!(server.whole(request("Dropout"), large).await, code);
            }
            Self::UnknownMethod => assert_eq!(server.whole(request("Nothing"), small()).await, code),
            Self::UnknownEncoding => {
                assert_eq!(server.whole(dropout_with("grpc-encoding", "br"), small()).await, code);
            }
            Self::TooMuchMetadata => {
                let metadata = "m".repeat(20_000);
                assert_eq!(server.whole(dropout_with("x", &metadata), small()).await, code);
            }
            Self::NoCall => {
                let (answer, mut body) = server.peer.send(to("/none", "GET")).await.expect("the connection is open");
                body.send_data(Bytes::new(), true).expect("the connection is open");
                assert_eq!(answer.await.expect("an answer").status(), 405);
            }
            Self::Health => {
                assert_eq!(server.whole(to("/grpc.health.v1.Health/Check", "POST"), framed(&[])).await, code);
            }
            Self::Reflection => {
                let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
                assert_eq!(server.whole(to(path, "POST"), Bytes::new()).await, code);
            }
            Self::LateFromTheStart => {
                assert_eq!(server.whole(dropout_with("grpc-timeout", "1n"), small()).await, code);
            }
            Self::WrongDeadline => {
                assert_eq!(server.whole(dropout_with("grpc-timeout", "-1S"), small()).await, code);
            }
            Self::WatchesTooLong => {
                let mut watch = to("/grpc.health.v1.Health/Watch", "POST");
                watch.headers_mut().insert("grpc-timeout", "50m".parse().expect("a value"));
                assert_eq!(server.whole(watch, framed(&[])).await, code);
            }
            Self::Late => assert_eq!(server.whole(dropout_with("grpc-timeout", "50m"), small()).await, code),
            Self::Silent => {
                let (answer, body) = server.begin("Dropout", prefix(100)).await;
                assert_eq!(status(answer).await.expect("an answer").code(), code);
                drop(body);
            }
            Self::TakesNothing | Self::LeavesReading => {
                let (answer, mut body) = server.peer.begin("Dropout").await;
                body.send_data(small(), true).expect("the connection is open");
                let mut answer = answer.await.expect("headers are not subject to the window").into_body();
                if self == Self::TakesNothing {
                    let error = answer.data().await.expect("there is data").expect_err("none of it can be sent");
                    assert_eq!(error.reason(), Some(Reason::CANCEL), "{error:?}");
                }
            }
            Self::LeavesSending | Self::LeavesStreaming | Self::BreaksSending => {
                let begins = if self == Self::LeavesStreaming { measured() } else { prefix(1000) };
                let sent = begins.len();
                let (answer, mut body) = server.begin(method, begins).await;
                server.received(sent).await;
                if self == Self::BreaksSending {
                    server.peer.connection.abort();
                } else {
                    body.send_reset(Reason::CANCEL);
                }
                drop(answer);
            }
            Self::Resets(stream) => {
                let begins = stream.begins();
                let sent = begins.len();
                let (answer, mut body) = server.begin(method, begins).await;
                server.received(sent).await;
                let (answer, begun) = if stream.answers_at_once() {
                    (None, Some(answer.await.expect("it begins before the rest has come")))
                } else {
                    (Some(answer), None)
                };
                body.send_reset(Reason::CANCEL);
                drop((answer, begun));
            }
            Self::EndsShort(stream) => assert_eq!(server.whole(request(method), stream.begins()).await, code),
            Self::Refused(refusal) => refusal.make(server).await,
            Self::LeavesInPieces => {
                let (answer, mut body) = server.begin("Normalize", large().slice(..700_000)).await;
                let answer = answer.await.expect("it begins before the rest has come");
                // For example, a client stops here if the length prefix of the answer announces more than it accepts.
                body.send_reset(Reason::ENHANCE_YOUR_CALM);
                drop(answer);
            }
            Self::LeavesComputing => {
                let (answer, mut body) = server.peer.begin("Dropout").await;
                body.send_data(small(), true).expect("the connection is open");
                server.at_checkpoint().await;
                drop((answer, body));
            }
            Self::Panics | Self::PanicsInline => assert_eq!(server.whole(request("Dropout"), small()).await, code),
            Self::PanicsStreaming => {
                assert_eq!(server.whole(request("MeasureGradients"), measured()).await, code);
            }
            Self::PanicsFirst | Self::PanicsInPieces => {
                assert_eq!(server.whole(request("Normalize"), large()).await, code);
            }
            Self::DrainedComputing => {
                let (answer, mut body) = server.peer.begin("Dropout").await;
                body.send_data(small(), true).expect("the connection is open");
                server.at_checkpoint().await;
                server.keep((answer, body));
            }
            Self::DrainedSending | Self::CutForItsAge => {
                let begins = prefix(1000);
                let sent = begins.len();
                let call = server.begin("Dropout", begins).await;
                server.received(sent).await;
                server.keep(call);
            }
        }
    }
}
