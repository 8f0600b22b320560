//! The content of a call's log line.

use std::{fmt, time::Duration};

use tonic::Code;

use crate::grpc::Method;

/// The operation of a call, and its tensors.
#[derive(Clone, Debug)]
pub(super) struct Described {
    pub(super) kind: &'static str,
    pub(super) dtype: &'static str,
    pub(super) shape: Shape,
}

/// The size of a call's tensors, as the log has it.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    One(Vec<usize>),
    Several { tensors: usize, elements: usize },
    Streamed { elements: u64 },
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(shape) => write!(f, "{shape:?}"),
            Self::Several { tensors, elements } => write!(f, "{tensors} tensors, {elements} elements"),
            Self::Streamed { elements } => write!(f, "{elements} elements"),
        }
    }
}

/// How a call has ended.
#[derive(Debug)]
pub(super) struct End {
    pub(super) code: Code,
    /// The error, as the log has it; `None`: there is none, or nothing is known of it.
    pub(super) words: Option<String>,
    /// Whether a bug of this server has ended it.
    pub(super) is_ours: bool,
}

/// The fields of a call's log line, beside how the call has ended.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) method: Method,
    pub(super) path: Option<&'a str>,
    pub(super) trace_id: Option<&'a str>,
    pub(super) described: Option<&'a Described>,
    pub(super) queued: Option<Duration>,
    pub(super) computed: Option<Duration>,
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) elapsed: Duration,
}
