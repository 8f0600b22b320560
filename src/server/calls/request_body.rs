//! The bodies of requests: nobody is waited for for ever, and what is announced is admitted or not.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use evenkeel_transport::{ConnectionHandle, MinRateTimeout};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::{Code, Status};

use super::{
    super::{
        admission::Messages,
        body_error::{TransportError, of_transport},
    },
    guard::CallGuard,
};
use crate::{
    budget::Portion,
    counters::Counters,
    error::Error,
    grpc::BoxError,
    observe::{CallRecord, Stage},
};

/// The body of a request: its client is not waited for for ever, and what it announces is admitted or not.
#[derive(Debug)]
pub(super) struct RequestBody<B> {
    pub(super) body: B,
    /// Why the transport's own body has failed, if there is something between.
    pub(super) transport: Option<TransportError>,
    pub(super) timeout: MinRateTimeout,
    /// `None`: the call holds next to nothing.
    pub(super) messages: Option<Messages>,
    /// What they hold, as they come.
    pub(super) held: Portion,
    pub(super) _guard: Arc<CallGuard>,
    pub(super) connection: Arc<ConnectionHandle>,
    pub(super) counters: Arc<Counters>,
    pub(super) record: CallRecord,
    /// What has come and follows the message that is being read.
    pub(super) rest: Option<Bytes>,
    /// Whether its bytes are those of plain messages.
    pub(super) is_plain: bool,
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
            _guard: _,
            connection,
            counters,
            record,
            rest,
            is_plain,
            over,
        } = &mut *self;
        if *over {
            return Poll::Ready(None);
        }
        if let Some(messages) = messages {
            messages.asked_for_more(held);
        }
        let mut frame = match rest.take() {
            Some(rest) => Some(Ok(Frame::data(rest))),
            None => match Pin::new(body).poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    ready!(timeout.poll_elapsed(cx));
                    counters.receives_timed_out.add_one();
                    return self.refuse(Error::Stalled);
                }
            },
        };
        if let (Some(messages), Some(Ok(frame))) = (&messages, &mut frame)
            && let Some(data) = frame.data_mut()
        {
            let here = messages.until_long_one_ends(data);
            if here < data.len() {
                *rest = Some(data.split_off(here));
            }
        }
        if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref) {
            timeout.progressed(data.len());
            if *is_plain {
                record.received(data.len());
            }
            if let Some(messages) = messages
                && let Err(error) = messages.frame(data, held)
            {
                return self.refuse(error);
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
        // A call without its message is told so where the message would be.
        let has_all = self.rest.is_none() && self.body.is_end_stream();
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
