//! How calls end.

use std::{fmt, ops::ControlFlow, time::Instant};

/// A call that has ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// When it should have begun. In a closed loop the time at which it was begun.
    pub due: Instant,
    /// When it was begun.
    pub started: Instant,
    /// When its last byte came.
    pub ended: Instant,
    /// How it has ended.
    pub outcome: Outcome,
    /// The bytes of the answer's messages, with their prefixes.
    pub received: usize,
}

/// How a call has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With status 0, and an answer like the first one.
    Ok,
    /// With status 0, and an answer that differs from the first one in this.
    Wrong(String),
    /// With another status.
    Failed {
        /// The code of the status, from 1 to 16; any other number is what the server has sent.
        code: u32,
        /// The message of the status.
        message: String,
    },
}

/// Takes the calls that have ended.
pub trait Record {
    /// Takes a call. `Break`: the connection begins no other call, and does not wait for those in flight.
    fn ended(&mut self, call: Ended) -> ControlFlow<()>;
}

/// The reason why a connection ended.
#[derive(Clone, Debug)]
pub struct Lost(pub String);

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Lost {}

impl From<std::io::Error> for Lost {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

pub(crate) const CANCELLED: u32 = 1;
pub(crate) const UNKNOWN: u32 = 2;
pub(crate) const DEADLINE_EXCEEDED: u32 = 4;
pub(crate) const RESOURCE_EXHAUSTED: u32 = 8;
pub(crate) const INTERNAL: u32 = 13;
pub(crate) const UNAVAILABLE: u32 = 14;

/// The name of a status's code, as ghz and grpc-go write it.
pub fn code_name(code: u32) -> &'static str {
    const NAMES: [&str; 17] = [
        "OK",
        "Canceled",
        "Unknown",
        "InvalidArgument",
        "DeadlineExceeded",
        "NotFound",
        "AlreadyExists",
        "PermissionDenied",
        "ResourceExhausted",
        "FailedPrecondition",
        "Aborted",
        "OutOfRange",
        "Unimplemented",
        "Internal",
        "Unavailable",
        "DataLoss",
        "Unauthenticated",
    ];
    usize::try_from(code).ok().and_then(|code| NAMES.get(code)).unwrap_or(&"Unknown")
}

impl Outcome {
    /// The outcome of a call whose answer has this status of gRPC, or no status but one of HTTP, as the specification of gRPC
    /// maps it.
    pub(crate) fn of_status(http: Option<&str>, grpc: Option<&str>, message: Option<String>) -> Option<Self> {
        match grpc {
            Some("0") => None,
            Some(code) => {
                let code = code.parse().unwrap_or(UNKNOWN);
                Some(Self::Failed { code, message: message.unwrap_or_default() })
            }
            None => {
                let code = match http {
                    Some("400") => INTERNAL,
                    Some("401") => 16,
                    Some("403") => 7,
                    Some("404") => 12,
                    Some("429" | "502" | "503" | "504") => UNAVAILABLE,
                    Some(_) | None => UNKNOWN,
                };
                let message = match http {
                    Some("200") | None => "the answer has no grpc-status".to_owned(),
                    Some(http) => format!("the answer has HTTP status {http} and no grpc-status"),
                };
                Some(Self::Failed { code, message })
            }
        }
    }

    /// The outcome of a call whose stream was reset with this error of HTTP/2.
    pub(crate) fn of_reset(error: u32) -> Self {
        let code = match error {
            7 => UNAVAILABLE, // REFUSED_STREAM
            8 => CANCELLED,
            11 => RESOURCE_EXHAUSTED, // ENHANCE_YOUR_CALM
            _ => INTERNAL,
        };
        Self::Failed { code, message: format!("the server has reset the stream: HTTP/2 error {error}") }
    }

    pub(crate) fn lost(reason: &Lost) -> Self {
        Self::Failed { code: UNAVAILABLE, message: format!("the connection was lost: {reason}") }
    }

    pub(crate) fn late() -> Self {
        Self::Failed { code: DEADLINE_EXCEEDED, message: "the timeout has passed".to_owned() }
    }
}
