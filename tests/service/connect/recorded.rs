//! A call of Connect has one line in the log, one count and one span, all with the code of its answer.
//!
//! The server runs on the thread of the test alone, so that a log of this thread has all its lines.

use evenkeel::{config::ServerConfig, server::Running};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use tonic::Code;

use super::{
    ONE, SERVICE,
    client::{BOTH, JSON, JSON_STREAM, PROTO},
};
use crate::{
    ends::{code_of, counted, log::Log, name, traced},
    metrics::config,
    otlp::{collector::Collector, sending_to, text},
    peer::{address, framed},
    until::{until, within},
};

/// A call that ends in some way.
#[derive(Clone, Copy, Debug)]
enum Call {
    Json,
    Stream,
    WrongText,
    WrongArgument,
    WrongInStream,
    Unreadable,
    NoSuchMethod,
    WrongType,
    Late,
    Leaves,
}

impl Call {
    /// The method that is recorded, the code, and the bytes that were received and sent, if they are certain.
    fn recorded(self) -> (&'static str, Code, Option<(usize, usize)>) {
        match self {
            Self::Json => ("Dropout", Code::Ok, None),
            Self::Stream => ("MeasureGradients", Code::Ok, None),
            Self::WrongText | Self::WrongArgument => ("Dropout", Code::InvalidArgument, None),
            Self::WrongInStream => ("MeasureGradients", Code::InvalidArgument, None),
            Self::Unreadable => ("Dropout", Code::Internal, Some((5 + 9, 0))),
            Self::NoSuchMethod => ("_OTHER", Code::Unimplemented, None),
            Self::WrongType => ("Dropout", Code::Unknown, None),
            Self::Late => ("Dropout", Code::DeadlineExceeded, None),
            Self::Leaves => ("Dropout", Code::Cancelled, None),
        }
    }

    async fn make(self, server: &Running) {
        for version in BOTH {
            let call = async |method, content_type, headers: &[(&str, &str)], body: &[u8]| {
                version.call(server, method, content_type, headers, body.to_vec()).await.http
            };
            let http = match self {
                Self::Json => call("Dropout", JSON, &[], ONE.as_bytes()).await,
                Self::Stream => call("MeasureGradients", JSON_STREAM, &[], &framed(b"{}")).await,
                Self::WrongText => call("Dropout", JSON, &[], b"{").await,
                Self::WrongArgument => call("Dropout", JSON, &[], b"{}").await,
                Self::WrongInStream => call("MeasureGradients", JSON_STREAM, &[], &framed(b"[]")).await,
                Self::Unreadable => call("Dropout", PROTO, &[], &[0xFF; 9]).await,
                Self::NoSuchMethod => call("NoSuchMethod", JSON, &[], b"{}").await,
                Self::WrongType => call("Dropout", JSON_STREAM, &[], b"{}").await,
                Self::Late => call("Dropout", JSON, &[("connect-timeout-ms", "0")], ONE.as_bytes()).await,
                Self::Leaves => {
                    let mut stream = TcpStream::connect(address(server)).await.expect("the server listens");
                    let request = format!(
                        "POST /{SERVICE}/Dropout HTTP/1.1\r\nhost: evenkeel\r\ncontent-type: application/json\r\n\
                         content-length: 100\r\n\r\n{{"
                    );
                    stream.write_all(request.as_bytes()).await.expect("the server reads");
                    0
                }
            };
            let expected = match self {
                Self::Json | Self::Stream | Self::WrongInStream => 200,
                Self::WrongText | Self::WrongArgument => 400,
                Self::Unreadable => 500,
                Self::NoSuchMethod => 404,
                Self::WrongType => 415,
                Self::Late => 504,
                Self::Leaves => 0,
            };
            assert_eq!(http, expected, "{self:?} {version:?}");
        }
    }
}

async fn check(call: Call) {
    let log = Log::begin();
    let mut collector = Collector::start(None).await;
    let config = ServerConfig { otlp: sending_to(collector.address).otlp, ..config() };
    let server = Running::start(config).await.expect("the server starts");
    call.make(&server).await;
    let (method, code, bytes) = call.recorded();
    let labels = [format!("grpc_method=\"{method}\""), format!("grpc_code=\"{}\"", name(code))];
    until("both calls are counted", async || {
        let counted = counted(&server).await;
        matches!(&counted[..], [(series, 2.0)] if labels.iter().all(|label| series.contains(label)))
    })
    .await;
    within("the end", server.shutdown_and_wait()).await.expect("nothing is in flight");
    let lines = log.calls();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    let spans = traced(&mut collector);
    assert_eq!(spans.len(), 2, "{spans:#?}");
    for line in &lines {
        let fields = &line["fields"];
        assert_eq!((&fields["method"], &fields["status"]), (&method.into(), &name(code).into()), "{line}");
        if let Some((received, sent)) = bytes {
            assert_eq!((&fields["received_bytes"], &fields["sent_bytes"]), (&received.into(), &sent.into()), "{line}");
        }
        if code == Code::Ok {
            assert!(fields["sent_bytes"].as_u64() > Some(5), "{line}");
        }
    }
    for span in &spans {
        assert_eq!((&*text(&span.attributes, "rpc.method"), code_of(&span.attributes)), (method, code as i64));
    }
}

macro_rules! recorded {
    ($($test:ident: $call:ident),* $(,)?) => {$(
        #[tokio::test]
        async fn $test() {
            check(Call::$call).await;
        }
    )*};
}

recorded! {
    a_call_in_json: Json,
    a_stream_in_json: Stream,
    a_text_that_is_wrong: WrongText,
    an_argument_that_is_wrong: WrongArgument,
    a_text_in_a_stream_that_is_wrong: WrongInStream,
    bytes_that_are_no_message: Unreadable,
    an_unknown_method: NoSuchMethod,
    a_request_that_is_no_call: WrongType,
    a_deadline_that_has_passed: Late,
    a_client_that_leaves: Leaves,
}
