//! The table of the ways in which calls end, and of what must be recorded of each.

use tonic::Code;

use super::{refusals::Refusal, streams::Stream};

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Answered,
    AnsweredInPieces,
    Measured,
    WrongArgument,
    TooManyParts,
    NoToken,
    NoMessage,
    Unreadable,
    CutOff,
    TooLarge,
    UnknownMethod,
    UnknownEncoding,
    TooMuchMetadata,
    NoCall,
    Health,
    Reflection,
    LateFromTheStart,
    Late,
    Silent,
    TakesNothing,
    WatchesTooLong,
    WrongDeadline,
    LeavesSending,
    LeavesStreaming,
    Resets(Stream),
    EndsShort(Stream),
    Refused(Refusal),
    BreaksSending,
    LeavesInPieces,
    LeavesComputing,
    LeavesReading,
    CutForItsAge,
    Panics,
    PanicsInline,
    PanicsStreaming,
    PanicsFirst,
    PanicsInPieces,
    DrainedComputing,
    DrainedSending,
}

/// What must be recorded of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) method: &'static str,
    pub(super) code: Code,
    /// The reason in `evenkeel_refused_total`; `None` if the call was not refused.
    pub(super) refused: Option<&'static str>,
    /// A part of the `error` field of the log; empty if there is no such field.
    pub(super) words: &'static str,
}

impl End {
    /// The table.
    pub(super) fn row(self) -> Row {
        let row = |method, code, refused, words| Row { method, code, refused, words };
        match self {
            Self::Answered => row("Dropout", Code::Ok, None, ""),
            Self::AnsweredInPieces => row("Normalize", Code::Ok, None, ""),
            Self::Measured => row("MeasureGradients", Code::Ok, None, ""),
            Self::WrongArgument => row("Dropout", Code::InvalidArgument, Some("INVALID_ARGUMENT"), "p: "),
            Self::TooManyParts => row("Dropout", Code::ResourceExhausted, Some("MESSAGE_TOO_LARGE"), "too many"),
            Self::NoToken => row("Dropout", Code::Unauthenticated, Some("UNAUTHENTICATED"), "token"),
            Self::NoMessage => row("Dropout", Code::Unimplemented, Some("NOT_ONE_MESSAGE"), "one message"),
            Self::Unreadable => row("Dropout", Code::Internal, Some("UNREADABLE"), "cannot be read"),
            Self::CutOff => row("Normalize", Code::Internal, Some("UNREADABLE"), "cannot be read"),
            Self::TooLarge => {
                row("Dropout", Code::ResourceExhausted, Some("MESSAGE_TOO_LARGE"), "exceeds the limit of 2048")
            }
            Self::UnknownMethod => row("_OTHER", Code::Unimplemented, None, "no such method"),
            Self::UnknownEncoding => row("Dropout", Code::Unimplemented, Some("UNKNOWN_ENCODING"), "encoding"),
            Self::TooMuchMetadata => {
                row("Dropout", Code::ResourceExhausted, Some("METADATA_TOO_LARGE"), "the metadata has 20")
            }
            Self::NoCall => row("_OTHER", Code::Unknown, None, "405"),
            Self::Health => row("Check", Code::Ok, None, ""),
            Self::Reflection => row("ServerReflectionInfo", Code::Ok, None, ""),
            Self::LateFromTheStart => row("Dropout", Code::DeadlineExceeded, Some("DEADLINE_EXCEEDED"), "deadline"),
            Self::Late => row("Dropout", Code::DeadlineExceeded, Some("DEADLINE_EXCEEDED"), "deadline"),
            Self::Silent => row("Dropout", Code::DeadlineExceeded, Some("STALLED"), "sent too little"),
            Self::TakesNothing => row("Dropout", Code::Cancelled, None, "did not take"),
            Self::WatchesTooLong => row("Watch", Code::DeadlineExceeded, Some("DEADLINE_EXCEEDED"), "deadline"),
            Self::WrongDeadline => row("Dropout", Code::InvalidArgument, Some("INVALID_ARGUMENT"), "grpc-timeout: "),
            Self::LeavesSending => row("Dropout", Code::Cancelled, None, "while it was sending"),
            Self::LeavesStreaming => row("MeasureGradients", Code::Cancelled, None, "while it was sending"),
            Self::Resets(stream) => row(stream.method(), Code::Cancelled, None, "the client left"),
            Self::EndsShort(stream) => {
                row(stream.method(), Code::InvalidArgument, Some("INVALID_ARGUMENT"), "200000 bytes of the")
            }
            Self::Refused(refusal) => refusal.row(),
            Self::BreaksSending => row("Dropout", Code::Cancelled, None, "while it was sending"),
            Self::LeavesInPieces => row("Normalize", Code::Cancelled, None, "the client left"),
            Self::LeavesComputing => row("Dropout", Code::Cancelled, None, "before it was answered"),
            Self::LeavesReading => row("Dropout", Code::Cancelled, None, "before it had all of the answer"),
            Self::CutForItsAge => row("Dropout", Code::Unavailable, None, "ended the connection"),
            Self::Panics => row("Dropout", Code::Internal, None, "did not finish"),
            Self::PanicsInline => row("Dropout", Code::Internal, None, "did not finish"),
            Self::PanicsStreaming => row("MeasureGradients", Code::Internal, None, "did not finish"),
            Self::PanicsFirst => row("Normalize", Code::Internal, None, "did not finish"),
            Self::PanicsInPieces => row("Normalize", Code::Internal, None, "did not finish"),
            Self::DrainedComputing => row("Dropout", Code::Unavailable, Some("SHUTTING_DOWN"), "shutting down"),
            Self::DrainedSending => row("Dropout", Code::Unavailable, Some("SHUTTING_DOWN"), "shutting down"),
        }
    }

    /// The kind, dtype and shape that must be recorded of the call; `None`: there are none, or they are not compared.
    pub(super) fn described(self) -> Option<[&'static str; 3]> {
        match self {
            Self::Answered => Some(["element", "float32", "[2, 2]"]),
            Self::Resets(stream) | Self::EndsShort(stream) => Some(stream.described()),
            Self::Measured | Self::LeavesStreaming | Self::PanicsStreaming => Some(["2", "float32", "2 elements"]),
            Self::Refused(refusal) => refusal.described(),
            Self::AnsweredInPieces
            | Self::WrongArgument
            | Self::TooManyParts
            | Self::NoToken
            | Self::NoMessage
            | Self::Unreadable
            | Self::CutOff
            | Self::TooLarge
            | Self::UnknownMethod
            | Self::UnknownEncoding
            | Self::TooMuchMetadata
            | Self::NoCall
            | Self::Health
            | Self::Reflection
            | Self::LateFromTheStart
            | Self::Late
            | Self::Silent
            | Self::TakesNothing
            | Self::WatchesTooLong
            | Self::WrongDeadline
            | Self::LeavesSending
            | Self::BreaksSending
            | Self::LeavesInPieces
            | Self::LeavesComputing
            | Self::LeavesReading
            | Self::CutForItsAge
            | Self::Panics
            | Self::PanicsInline
            | Self::PanicsFirst
            | Self::PanicsInPieces
            | Self::DrainedComputing
            | Self::DrainedSending => None,
        }
    }

    /// Whether this end is a bug of the server.
    pub(super) fn is_a_panic(self) -> bool {
        matches!(
            self,
            Self::Panics | Self::PanicsInline | Self::PanicsStreaming | Self::PanicsFirst | Self::PanicsInPieces
        )
    }

    /// The level of the line.
    pub(super) fn level(self) -> &'static str {
        if self.is_a_panic() {
            "ERROR"
        } else if matches!(self, Self::Health | Self::WatchesTooLong) {
            "DEBUG"
        } else {
            "INFO"
        }
    }

    /// Whether the end of the server ends the call.
    pub(super) fn is_of_the_drain(self) -> bool {
        matches!(self, Self::DrainedComputing | Self::DrainedSending)
    }
}
