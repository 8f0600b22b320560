//! The routes of messages to their kernels: the label `route`. The table of routes is in `src/direct.rs`.

use std::array;

use crate::counters::Counter;

/// A route that the message of a call of the tensor service takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// The message came in one frame, and is computed from where it is.
    OneFrame,
    /// It came in several frames and was computed as they came; the response follows in parts.
    Streamed,
    /// As `Streamed`, but the response begins when all of it is computed.
    Collected,
    /// It came in several frames, or compressed, and was put together in one buffer.
    Gathered,
    /// tonic's codec has read it.
    Codec,
    /// It is one of a stream of tensors, which is computed as its bytes come.
    Chunks,
}

impl Route {
    pub(crate) const COUNT: usize = 6;
    pub(crate) const ALL: [Self; Self::COUNT] =
        [Self::OneFrame, Self::Streamed, Self::Collected, Self::Gathered, Self::Codec, Self::Chunks];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OneFrame => "one_frame",
            Self::Streamed => "streamed",
            Self::Collected => "collected",
            Self::Gathered => "gathered",
            Self::Codec => "codec",
            Self::Chunks => "chunks",
        }
    }
}

/// How many messages have taken each route.
#[derive(Debug)]
pub(crate) struct Routes([Counter; Route::COUNT]);

impl Default for Routes {
    fn default() -> Self {
        Self(array::from_fn(|_| Counter::default()))
    }
}

impl Routes {
    pub(crate) fn add(&self, route: Route) {
        self.0[route as usize].add_one();
    }

    pub(crate) fn get(&self) -> impl Iterator<Item = (Route, u64)> {
        Route::ALL.into_iter().zip(self.0.iter().map(Counter::get))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_has_a_number_of_its_own() {
        let routes = Routes::default();
        for (times, route) in (1..).zip(Route::ALL) {
            (0..times).for_each(|_| routes.add(route));
        }
        assert_eq!(routes.get().collect::<Vec<_>>(), (Route::ALL.into_iter().zip(1..)).collect::<Vec<_>>());
    }
}
