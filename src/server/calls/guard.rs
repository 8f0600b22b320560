//! The memory that a call holds, for as long as any of its bytes exist.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::super::admission::StreamCharge;
use crate::{budget::Reservation, owning::owning};

/// A call, from its headers until the last byte of its response is dropped, with the memory it holds.
#[derive(Debug)]
pub(in crate::server) struct CallGuard {
    charge: StreamCharge,
    /// `None`: the answer has no message.
    _reservation: Option<Arc<Reservation>>,
}

impl CallGuard {
    pub(super) fn new(charge: StreamCharge, reservation: Arc<Reservation>) -> Arc<Self> {
        Arc::new(Self { charge, _reservation: Some(reservation) })
    }

    /// The guard of an answer without a message, whose client may take its time: nothing is left of the request, unless a job
    /// still computes with it, which has the reservation, too.
    pub(super) fn without_messages(self: Arc<Self>) -> Arc<Self> {
        match Arc::try_unwrap(self) {
            Ok(Self { charge, .. }) => Arc::new(Self { charge, _reservation: None }),
            // The request's body is still being read.
            Err(shared) => shared,
        }
    }

    /// The same bytes, which keep the guard: they may be a slice of a large buffer, whose memory is not free before.
    pub(super) fn hold(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        owning(bytes, Arc::clone(self))
    }
}

/// A body that a layer has made from that of a call, with other bytes, such as base64. Each of its frames keeps the
/// guard.
#[derive(Debug)]
pub(in crate::server) struct HeldBody<B> {
    body: B,
    /// `None`: the response belongs to no call, such as that of a CORS preflight.
    guard: Option<Arc<CallGuard>>,
}

impl<B> HeldBody<B> {
    pub(in crate::server) fn new(body: B, guard: Option<Arc<CallGuard>>) -> Self {
        Self { body, guard }
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for HeldBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(frame.map(|frame| {
            frame.map(|frame| match &self.guard {
                Some(guard) => frame.map_data(|data| guard.hold(data)),
                None => frame,
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
