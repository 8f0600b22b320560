//! The bodies of requests, with a limit on the time that their clients take, and with admission of the messages that
//! they announce.

use std::{
    collections::VecDeque,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use evenkeel_transport::{ConnectionHandle, MinRateTimeout, Turn};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::{Code, Status};

use super::{
    super::{
        admission::Messages,
        body_error::{TransportError, of_transport},
    },
    frames::Frames,
    guard::CallGuard,
};
use crate::{
    budget::Portion,
    counters::Counters,
    error::Error,
    grpc::BoxError,
    observe::{CallRecord, Stage},
};

/// The body of a request. It fails if its client is too slow, or if a message that it announces is not admitted.
#[derive(Debug)]
pub(super) struct RequestBody<B> {
    pub(super) body: B,
    /// The error of the transport's own body, if there is a layer between that turns errors into text.
    pub(super) transport: Option<TransportError>,
    pub(super) timeout: MinRateTimeout,
    /// `None`: the request is no call, and its body is not kept.
    pub(super) messages: Option<Messages>,
    /// The bytes of the reservation that messages hold, as they arrive.
    pub(super) held: Portion,
    /// The frames of which the reader has a part, or is yet to get one.
    pub(super) frames: Frames,
    pub(super) _guard: Arc<CallGuard>,
    pub(super) connection: Arc<ConnectionHandle>,
    pub(super) counters: Arc<Counters>,
    pub(super) record: CallRecord,
    /// The bytes that have come and are given to the reader later.
    pub(super) rest: VecDeque<Bytes>,
    /// Yields to other calls, since counting bytes and decoding messages that are there already takes time.
    pub(super) turn: Turn,
    /// Whether its bytes are those of plain messages.
    pub(super) is_plain: bool,
    /// Whether the body has ended or failed.
    pub(super) over: bool,
}

impl<B> RequestBody<B> {
    /// Ends the body; the error becomes the answer.
    fn refuse(&mut self, error: Error) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.over = true;
        Poll::Ready(Some(Err(Status::from(error).into())))
    }
}

impl<B> HttpBody for RequestBody<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self {
            body,
            transport,
            timeout,
            messages,
            held,
            frames,
            _guard: _,
            connection,
            counters,
            record,
            rest,
            turn,
            is_plain,
            over,
        } = &mut *self;
        if *over {
            return Poll::Ready(None);
        }
        ready!(turn.poll(cx));
        if let Some(messages) = messages {
            messages.asked_for_more(held);
        }
        let (mut frame, is_new) = match rest.pop_front() {
            Some(rest) => (Some(Ok(Frame::data(rest))), false),
            None => match Pin::new(body).poll_frame(cx) {
                Poll::Ready(frame) => (frame, true),
                Poll::Pending => {
                    turn.waits();
                    ready!(timeout.poll_elapsed(cx));
                    counters.receives_timed_out.add_one();
                    return self.refuse(Error::Stalled);
                }
            },
        };
        if let Some(data) = frame.as_mut().and_then(|frame| frame.as_mut().ok()).and_then(Frame::data_mut) {
            if let Some(messages) = messages {
                if is_new && !messages.keep_frames() {
                    match frames.reserve(mem::take(data)) {
                        Ok(reserved) => *data = reserved,
                        Err(error) => return self.refuse(error),
                    }
                }
                let here = messages.until_long_one_ends(data);
                if here < data.len() {
                    rest.push_front(data.split_off(here));
                }
                match messages.frame(data, held) {
                    Ok(counted) if counted < data.len() => rest.push_front(data.split_off(counted)),
                    Ok(_) => (),
                    Err(error) => return self.refuse(error),
                }
            }
            timeout.progressed(data.len());
            if *is_plain {
                record.received(data.len());
            }
        } else if !matches!(frame, Some(Err(_))) && messages.as_ref().is_some_and(Messages::lack_one) {
            return self.refuse(Error::NotOneMessage { found: "none" });
        }
        match frame {
            Some(Ok(frame)) => Poll::Ready(Some(Ok(frame))),
            Some(Err(error)) => {
                let error = error.into();
                let error = match transport {
                    None => of_transport(&*error),
                    Some(transport) => transport.get().cloned().unwrap_or_else(|| Error::Unreadable {
                        code: Code::Internal,
                        reason: Status::from_error(error).message().to_owned(),
                    }),
                };
                if error == Error::Cancelled && connection.is_cut() {
                    record.connection_cut();
                } else if error == Error::Cancelled {
                    record.client_left();
                }
                self.refuse(error)
            }
            None => {
                record.reached(Stage::Computing);
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        // If a call lacks its message, the next frame is an error.
        let has_all = self.rest.is_empty() && self.body.is_end_stream();
        let ends = self.over || has_all && !self.messages.as_ref().is_some_and(Messages::lack_one);
        if ends {
            self.record.reached(Stage::Computing);
        }
        ends
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
