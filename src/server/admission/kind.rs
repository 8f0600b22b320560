//! The messages of a call that are counted, by its method.

use tonic::codegen::http::Extensions;

use crate::{config::HELD_PER_REQUEST_BYTE, grpc::Method, observe::CallRecord};

/// The messages of a call that are in memory together, and the budget that they are reserved from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Kind {
    /// All messages, until the answer is sent, which is about as long.
    Whole,
    /// The messages that are being read. Those before them are not in memory, and the answer is short.
    OneByOne,
    /// No whole messages of data. The code that gathers other messages, and that computes, reserves the memory for it.
    Streamed,
    /// Short questions, with a budget of their own, so that health is answered even if the budget of calls is used up.
    Health,
    /// Short questions with longer answers, from the budget of health.
    Reflection,
}

impl Kind {
    /// The kind of a call. Unknown methods count as unary calls, which take from the budget of calls.
    pub(in crate::server) const fn of(method: Method) -> Self {
        match method {
            Method::HealthCheck | Method::HealthWatch => Self::Health,
            Method::ReflectionV1 | Method::ReflectionV1Alpha => Self::Reflection,
            Method::MeasureGradients | Method::MeasureStatistics => Self::OneByOne,
            Method::NormalizeStream | Method::DropoutStream | Method::ClipGradientsStream => Self::Streamed,
            Method::Normalize
            | Method::NormalizeBackward
            | Method::Dropout
            | Method::DropoutBackward
            | Method::ClipGradients
            | Method::MeasureGradientsUnary
            | Method::MeasureStatisticsUnary
            | Method::GetServerInfo
            | Method::Other => Self::Whole,
        }
    }

    /// The kind of the call with these extensions. A call of a guest has it among them, since its method is not in the table.
    ///
    /// # Panics
    /// As [`CallRecord::method_of`].
    pub(in crate::server) fn of_call(extensions: &Extensions) -> Self {
        extensions.get().copied().unwrap_or_else(|| Self::of(CallRecord::method_of(extensions)))
    }

    /// The bytes that are reserved for each byte of a message.
    pub(in crate::server) const fn times(self) -> usize {
        match self {
            Self::Whole => HELD_PER_REQUEST_BYTE,
            Self::OneByOne | Self::Streamed | Self::Health | Self::Reflection => 1,
        }
    }

    /// Whether the call is a question to health or reflection.
    pub(in crate::server) const fn is_question(self) -> bool {
        match self {
            Self::Health | Self::Reflection => true,
            Self::Whole | Self::OneByOne | Self::Streamed => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_call_with_its_answer_counts_twice_and_only_questions_are_questions() {
        for method in Method::ALL {
            let kind = Kind::of(method);
            let is_question = method.service().starts_with("grpc.");
            assert_eq!(kind.is_question(), is_question, "{method:?}");
            let streams = method.kind() == "client_stream" || method.kind() == "bidi_stream";
            let times = if is_question || streams { 1 } else { 2 };
            assert_eq!(kind.times(), times, "{method:?}");
        }
    }
}
