//! The calls in flight on a connection.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{
    answer::{Reader, Reference},
    ended::{Ended, Outcome},
    hpack::Block,
};

/// A call in flight.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: u32,
    pub(super) due: Instant,
    pub(super) started: Instant,
    pub(super) unsent: Bytes,
    pub(super) window: i64,
    pub(super) reader: Reader,
    /// The headers of the answer.
    pub(super) head: Block,
}

#[derive(Debug, Default)]
pub(super) struct Streams {
    streams: Vec<Stream>,
    /// The index of the stream whose frame was sent last.
    turn: usize,
    /// The time at which each is given up, in the order of their beginning; also of some that have ended.
    deadlines: VecDeque<(Instant, u32)>,
}

impl Stream {
    /// The call, ended without a whole answer.
    pub(super) fn end(self, now: Instant, outcome: Outcome) -> Ended {
        let Self { due, started, reader, .. } = self;
        Ended { due, started, ended: now, outcome, received: reader.received() }
    }

    /// The call, ended by its answer.
    pub(super) fn answered(self, trailers: &Block, now: Instant, reference: &Reference) -> Ended {
        let Self { due, started, reader, head, .. } = self;
        let (http, received) = (head.http_status.as_deref().or(trailers.http_status.as_deref()), reader.received());
        // An answer without a message has its status in its only headers.
        let grpc = trailers.grpc_status.as_deref().or(head.grpc_status.as_deref());
        let message = trailers.grpc_message.clone().or(head.grpc_message);
        let outcome = match Outcome::of_status(http, grpc, message) {
            Some(failed) => failed,
            None => reader.end(reference).map_or_else(Outcome::Wrong, |()| Outcome::Ok),
        };
        Ended { due, started, ended: now, outcome, received }
    }
}

impl Streams {
    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Adds a call that may take so long.
    pub(super) fn push(&mut self, stream: Stream, limit: Option<Duration>) {
        if let Some(limit) = limit {
            self.deadlines.push_back((stream.started + limit, stream.id));
        }
        self.streams.push(stream);
    }

    pub(super) fn find(&mut self, id: u32) -> Option<&mut Stream> {
        self.streams.iter_mut().find(|stream| stream.id == id)
    }

    pub(super) fn remove(&mut self, id: u32) -> Option<Stream> {
        let index = self.streams.iter().position(|stream| stream.id == id)?;
        let stream = self.streams.swap_remove(index);
        while let Some((_, first)) = self.deadlines.front()
            && !self.streams.iter().any(|stream| stream.id == *first)
        {
            self.deadlines.pop_front();
        }
        Some(stream)
    }

    /// Removes a call whose stream has a higher number.
    pub(super) fn after(&mut self, last: u32) -> Option<Stream> {
        let id = self.streams.iter().map(|stream| stream.id).find(|id| *id > last)?;
        self.remove(id)
    }

    /// Removes a call whose time has passed.
    pub(super) fn expired(&mut self, now: Instant) -> Option<Stream> {
        let (deadline, id) = *self.deadlines.front()?;
        if deadline <= now { self.remove(id) } else { None }
    }

    /// The time at which the first of them is given up.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadlines.front().map(|(deadline, _)| *deadline)
    }

    /// The stream that may send next. There must be one.
    pub(super) fn turn(&mut self) -> &mut Stream {
        self.turn = (self.turn + 1) % self.streams.len();
        &mut self.streams[self.turn]
    }

    /// Widens all windows.
    pub(super) fn widen(&mut self, by: i64) {
        self.streams.iter_mut().for_each(|stream| stream.window += by);
    }

    /// Removes all.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Stream> {
        self.deadlines.clear();
        self.streams.drain(..)
    }
}
