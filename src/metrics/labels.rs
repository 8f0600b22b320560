//! The values of labels. They are closed sets: no text of a client becomes a series.

use evenkeel_kernels::{DType, TensorRef};
use tonic::Code;

use super::calls::CODES;
use crate::grpc::Method;

/// The dtype of all tensors of a call: the label `dtype`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Elements {
    /// There are no tensors.
    #[default]
    None,
    Float32,
    Float64,
    Float16,
    Bfloat16,
    /// They differ.
    Mixed,
}

impl Elements {
    pub(crate) const COUNT: usize = 6;
    pub(crate) const ALL: [Self; Self::COUNT] =
        [Self::None, Self::Float32, Self::Float64, Self::Float16, Self::Bfloat16, Self::Mixed];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Float32 => DType::F32.name(),
            Self::Float64 => DType::F64.name(),
            Self::Float16 => DType::F16.name(),
            Self::Bfloat16 => DType::Bf16.name(),
            Self::Mixed => "mixed",
        }
    }

    /// The dtype of these tensors together.
    pub(crate) fn of(tensors: &[TensorRef<'_>]) -> Self {
        tensors.iter().map(|tensor| Self::from(tensor.dtype())).fold(Self::None, Self::join)
    }

    /// The dtype of both together.
    pub(crate) fn join(self, other: Self) -> Self {
        match (self, other) {
            (Self::None, one) | (one, Self::None) => one,
            (one, another) if one == another => one,
            (_, _) => Self::Mixed,
        }
    }

    /// Whether a call of this method can have this value: an operation on a single tensor always has that tensor's
    /// dtype.
    pub(crate) fn occurs_in(self, method: Method) -> bool {
        let several = matches!(
            method,
            Method::ClipGradients
                | Method::MeasureGradients
                | Method::MeasureStatistics
                | Method::MeasureGradientsUnary
                | Method::MeasureStatisticsUnary
                | Method::ClipGradientsStream
        );
        several || !matches!(self, Self::None | Self::Mixed)
    }
}

impl From<DType> for Elements {
    fn from(dtype: DType) -> Self {
        match dtype {
            DType::F32 => Self::Float32,
            DType::F64 => Self::Float64,
            DType::F16 => Self::Float16,
            DType::Bf16 => Self::Bfloat16,
        }
    }
}

/// The reason why a call was refused: the label `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    InvalidArgument,
    NonfiniteNorm,
    MessageTooLarge,
    NeedsTwoPasses,
    MetadataTooLarge,
    Unreadable,
    UnknownEncoding,
    DeadlineExceeded,
    ShuttingDown,
    NotOneMessage,
    Overloaded,
    Unauthenticated,
    Stalled,
}

impl Reason {
    pub(crate) const COUNT: usize = 13;
    pub(crate) const ALL: [Self; Self::COUNT] = [
        Self::InvalidArgument,
        Self::NonfiniteNorm,
        Self::MessageTooLarge,
        Self::NeedsTwoPasses,
        Self::MetadataTooLarge,
        Self::Unreadable,
        Self::UnknownEncoding,
        Self::DeadlineExceeded,
        Self::ShuttingDown,
        Self::NotOneMessage,
        Self::Overloaded,
        Self::Unauthenticated,
        Self::Stalled,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::NonfiniteNorm => "NONFINITE_NORM",
            Self::MessageTooLarge => "MESSAGE_TOO_LARGE",
            Self::NeedsTwoPasses => "NEEDS_TWO_PASSES",
            Self::MetadataTooLarge => "METADATA_TOO_LARGE",
            Self::Unreadable => "UNREADABLE",
            Self::UnknownEncoding => "UNKNOWN_ENCODING",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::ShuttingDown => "SHUTTING_DOWN",
            Self::NotOneMessage => "NOT_ONE_MESSAGE",
            Self::Overloaded => "OVERLOADED",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Stalled => "STALLED",
        }
    }
}

/// Files that are read again when they change: the label `files`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Files {
    /// The server's certificate and key, and the authorities that sign clients' certificates.
    Tls,
    /// The tokens that clients may send.
    Tokens,
    /// The authorities that sign the collector's certificate, and the certificate and key that the collector is shown.
    CollectorTls,
    /// The headers that are sent to the collector.
    CollectorHeaders,
}

impl Files {
    pub(crate) const COUNT: usize = 4;
    pub(crate) const ALL: [Self; Self::COUNT] = [Self::Tls, Self::Tokens, Self::CollectorTls, Self::CollectorHeaders];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Tokens => "tokens",
            Self::CollectorTls => "collector_tls",
            Self::CollectorHeaders => "collector_headers",
        }
    }
}

/// The names of gRPC's codes, 0 to 16.
pub(crate) fn code_names() -> impl Iterator<Item = &'static str> {
    (0..).map(|code| code_name(Code::from_i32(code))).take(CODES)
}

/// The name of a status code, as `google.rpc.Code` has it: the label `grpc_code`, and `status` in the log.
pub(crate) fn code_name(code: Code) -> &'static str {
    const _: () = assert!(CODES == Code::Unauthenticated as usize + 1);
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_places() {
        assert!(Method::ALL.iter().enumerate().all(|(place, method)| method.index() == place));
        assert!(Elements::ALL.iter().enumerate().all(|(place, &elements)| elements as usize == place));
        assert!(Reason::ALL.iter().enumerate().all(|(place, &reason)| reason as usize == place));
        assert!(Files::ALL.iter().enumerate().all(|(place, &files)| files as usize == place));
    }

    #[test]
    fn dtypes_join() {
        use Elements::{Float16, Float32, Mixed, None};
        assert_eq!(None.join(Float32), Float32);
        assert_eq!(Float32.join(None), Float32);
        assert_eq!(Float32.join(Float32), Float32);
        assert_eq!(Float32.join(Float16), Mixed);
        assert_eq!(Mixed.join(Float16), Mixed);
    }
}
