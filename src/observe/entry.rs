//! What is said of a call when it has ended.

use std::{fmt, time::Duration};

use tonic::Code;

use crate::grpc::Method;

/// What a call computes, on what.
#[derive(Clone, Debug)]
pub(super) struct Described {
    pub(super) kind: &'static str,
    pub(super) dtype: &'static str,
    pub(super) shape: Shape,
}

/// What the log says of the size of tensors.
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
    /// What is wrong, in words for the log; `None`: nothing, or nothing is known of it.
    pub(super) words: Option<String>,
    /// The bug that has ended it is this server's.
    pub(super) is_ours: bool,
}

/// What the log line of a call says, beside how it has ended.
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
