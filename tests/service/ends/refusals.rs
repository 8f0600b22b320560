//! Calls that are refused for what they ask for, or for what other calls hold.

use bytes::Bytes;
use evenkeel::config::{AdmissionConfig, ServerConfig};
use evenkeel_proto::v1 as pb;
use pb::{ClipMode, DataType, NormKind, NormalizeStreamRequest, normalize_stream_request::Part};
use prost::Message as _;
use tonic::Code;

use super::{calls::Server, table::Row};
use crate::{
    harness::{clip, dropout, f32s, normalize},
    metrics::scrape,
    peer::{framed, prefix, request},
    tensor_streams::described,
    until::until,
};

/// The method of the calls beside the one that is refused. Nothing that is recorded of them is compared.
pub(super) const HOLDER: &str = "DropoutBackward";

const MIB: usize = 1 << 20;

/// Why a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Another call holds the budget.
    Budget,
    /// Another call is computed, and one more waits.
    Queue,
    NonfiniteNorm,
    TwoPasses,
    TwoMessages,
}

impl Refusal {
    /// What must be recorded of the call.
    pub(super) fn row(self) -> Row {
        let row = |method, code, refused, words| Row { method, code, refused: Some(refused), words };
        match self {
            Self::Budget => row("Dropout", Code::ResourceExhausted, "OVERLOADED", "limit on bytes in flight"),
            Self::Queue => row("Dropout", Code::ResourceExhausted, "OVERLOADED", "limit on queued calls"),
            Self::NonfiniteNorm => row("ClipGradients", Code::FailedPrecondition, "NONFINITE_NORM", "not finite: inf"),
            Self::TwoPasses => row("NormalizeStream", Code::ResourceExhausted, "NEEDS_TWO_PASSES", "in two calls"),
            Self::TwoMessages => row("Dropout", Code::Unimplemented, "NOT_ONE_MESSAGE", "the call has several"),
        }
    }

    /// The kind, dtype and shape of the call; `None`: its message is not read.
    pub(super) fn described(self) -> Option<[&'static str; 3]> {
        match self {
            Self::Budget | Self::TwoMessages => None,
            Self::Queue => Some(["element", "float32", "[250]"]),
            Self::NonfiniteNorm => Some(["norm", "float32", "[2]"]),
            Self::TwoPasses => Some(["batch", "float32", "[1000, 3, 1000]"]),
        }
    }

    /// Gives the server the settings with which it refuses the call.
    pub(super) fn configure(self, config: &mut ServerConfig) {
        match self {
            Self::Budget => {
                config.max_message_bytes = MIB;
                config.admission = AdmissionConfig { max_bytes_in_flight: Some(2 * MIB), ..Default::default() };
            }
            Self::Queue => {
                config.threads = 1;
                config.admission = AdmissionConfig { max_queued: 1, ..Default::default() };
            }
            Self::TwoPasses => {
                config.max_message_bytes = MIB;
                config.admission = AdmissionConfig { max_bytes_in_flight: Some(4 * MIB), ..Default::default() };
            }
            Self::NonfiniteNorm | Self::TwoMessages => (),
        }
    }

    /// Makes the call.
    pub(super) async fn make(self, server: &Server) {
        let holders = self.hold(server).await;
        let Row { method, code, .. } = self.row();
        let small = || framed(&dropout(0.5, f32s(&[250], &[1.0; 250])).encode_to_vec());
        let bytes: Bytes = match self {
            Self::Budget | Self::Queue => small(),
            Self::NonfiniteNorm => {
                let gradients = vec![f32s(&[2], &[1.0, f32::INFINITY])];
                let clip = clip(ClipMode::Norm, 1.0, gradients);
                framed(&pb::ClipGradientsRequest { error_if_nonfinite: true, ..clip }.encode_to_vec())
            }
            Self::TwoPasses => {
                // A channel's elements are in all samples, so all 12 MB would be kept.
                let header = normalize(NormKind::Batch, described(DataType::Float32, &[1000, 3, 1000]));
                framed(&NormalizeStreamRequest { part: Some(Part::Header(header)) }.encode_to_vec())
            }
            Self::TwoMessages => [small(), small()].concat().into(),
        };
        assert_eq!(server.whole(request(method), bytes).await, code);
        drop(holders);
    }

    /// Begins the calls beside it, and waits until they hold what there is.
    async fn hold(self, server: &Server) -> Vec<impl Send> {
        let held = |series: &'static str, least: f64| {
            until(series, async move || scrape(&server.running).await[series] >= least)
        };
        let undrop = || {
            let grad_output = Some(f32s(&[2], &[1.0; 2]));
            framed(&pb::DropoutBackwardRequest { p: Some(0.5), grad_output, ..Default::default() }.encode_to_vec())
        };
        match self {
            Self::Budget => {
                let call = server.begin(HOLDER, prefix(MIB as u32)).await;
                held("evenkeel_bytes_in_flight", 2.0 * MIB as f64).await;
                vec![call]
            }
            Self::Queue => {
                let computed = server.begin(HOLDER, undrop()).await;
                let mut calls = vec![computed];
                calls[0].1.send_data(Bytes::new(), true).expect("the connection is open");
                server.at_checkpoint().await;
                let (answer, mut body) = server.begin(HOLDER, undrop()).await;
                body.send_data(Bytes::new(), true).expect("the connection is open");
                calls.push((answer, body));
                held("evenkeel_jobs_queued", 1.0).await;
                calls
            }
            Self::NonfiniteNorm | Self::TwoPasses | Self::TwoMessages => Vec::new(),
        }
    }
}
