//! What is counted of a call, by its method.

use crate::{config::HELD_PER_REQUEST_BYTE, grpc::Method};

/// How many of a call's messages are in memory, and what they are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Kind {
    /// All of them, until the answer is sent, which is about as long.
    Whole,
    /// Those that are being read: what came before is forgotten by then, and the answer is short.
    OneByOne,
    /// None as a whole: what is gathered of them, and what is computed, takes from the reservation where that is done.
    Streamed,
    /// Short questions, with a budget of their own: health is answered when there is nothing for others.
    Health,
    /// Short questions with longer answers, from the same budget.
    Reflection,
}

impl Kind {
    /// Whatever is not named here as a question takes from the budget of all calls.
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
            | Method::GetServerInfo
            | Method::Other => Self::Whole,
        }
    }

    /// How often each byte of a message counts.
    pub(in crate::server) const fn times(self) -> usize {
        match self {
            Self::Whole => HELD_PER_REQUEST_BYTE,
            Self::OneByOne | Self::Streamed | Self::Health | Self::Reflection => 1,
        }
    }

    /// Whether it is a question to health or reflection.
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
