//! Streams of tensors: a request that is sent while its response is read.
//!
//! Both halves are one future, so that readers, writers and views may be borrowed; nothing is spawned. A reader is asked for a
//! chunk only when there is room for a message, and a message of the response is taken only when the one before is written.
//! So a writer that is slow slows the server by HTTP/2's windows, the server stops to read, and the reader waits.
//!
//! A call that is given up has an incomplete request, whose stream is [reset](crate::reset). A response may be under way then: a
//! part of the request that waits for the server's window would wait for ever before it is reset, as would a server that waits
//! for this side's window. So a task drops what is left of the response until then.

mod memory;
mod method;
mod output;
mod requests;
mod source;

use evenkeel_proto::v1::tensor_ops_service_client::TensorOpsServiceClient;
use tokio::runtime::Handle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming};

pub(crate) use self::{
    memory::{Nothing, Nowhere},
    method::{ClipGradientsStream, DropoutStream, Method, NormalizeStream},
    output::{Output, Sink, expect_description},
    requests::Requests,
    source::{Origin, Source},
};
use crate::{
    Error, call::Call, collecting::Collecting, deadline::Deadline, fault::Fault, limits::Streamed,
    reset::ResetsIncomplete,
};

/// A server's chunk may be this long though the client's are shorter.
const LEAST_CHUNK_LIMIT: usize = 64 << 10;

/// What a message of the response may have beside a chunk.
const OVERHEAD: usize = 1 << 10;

/// A call that is about to be made.
pub(crate) struct Exchange<M: Method> {
    pub(crate) requests: Requests<M::Request>,
    pub(crate) responses: Responses<M>,
    pub(crate) call: Call,
}

impl<M: Method> Exchange<M> {
    pub(crate) fn new(Streamed { client, chunk, .. }: &Streamed) -> Self {
        let (sender, messages) = requests::channel();
        let (stub, call, request, is_complete) = client.stream_whole(messages);
        let stub = stub.max_decoding_message_size(client.max_message_bytes().max(LEAST_CHUNK_LIMIT + OVERHEAD));
        let responses = Responses(State::Waiting(Box::new(Waiting { stub, request })), call.deadline());
        Self { requests: Requests::new(sender, *chunk, is_complete), responses, call }
    }
}

/// A call with one message as its response: its channel, the request, and what is sent with it.
pub(crate) type Collected<Q> = (Collecting<ResetsIncomplete>, Request<ReceiverStream<Q>>, Requests<Q>, Call);

/// A call that is about to be made, whose response is one message.
pub(crate) fn collected<Q>(Streamed { client, chunk, .. }: &Streamed) -> Collected<Q> {
    let (sender, messages) = requests::channel();
    let (stub, call, request, is_complete) = client.collect_whole(messages);
    (stub, request, Requests::new(sender, *chunk, is_complete), call)
}

impl Call {
    /// What `take` comes to, which reads the response, while `feed` makes the request. Both are large, and are kept on the heap.
    pub(crate) async fn both<T>(
        &self,
        feed: impl Future<Output = Result<(), Fault>>,
        take: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Error> {
        let (mut feed, mut take) = (Box::pin(feed), Box::pin(take));
        let both = async {
            tokio::select! {
                biased;
                fed = &mut feed => fed?,
                // A server that has refused the call does not take the rest of the request.
                taken = &mut take => return taken,
            }
            take.await
        };
        self.end_exchange(both).await
    }
}

/// The response. The call is made when its first message is asked for.
pub(crate) struct Responses<M: Method>(State<M>, Deadline);

struct Waiting<M: Method> {
    stub: TensorOpsServiceClient<ResetsIncomplete>,
    request: Request<ReceiverStream<M::Request>>,
}

enum State<M: Method> {
    Waiting(Box<Waiting<M>>),
    Begun(Box<Streaming<M::Response>>),
    /// The call is over, or is being made.
    Ended,
}

impl<M: Method> Drop for Responses<M> {
    fn drop(&mut self) {
        if let State::Begun(mut messages) = std::mem::replace(&mut self.0, State::Ended)
            && let Ok(runtime) = Handle::try_current()
        {
            let deadline = self.1;
            let rest = async move {
                while let Some(_dropped) = messages.message().await? {}
                Ok::<_, Status>(())
            };
            runtime.spawn(deadline.end(rest));
        }
    }
}

impl<M: Method> Responses<M> {
    /// The next message.
    ///
    /// # Errors
    /// The status of the call; or the response ends, without the summary that is due.
    pub(crate) async fn next(&mut self) -> Result<M::Response, Fault> {
        self.message().await?.ok_or_else(|| Fault::protocol("summary", "is missing at the end of the stream"))
    }

    /// Waits for the end of the response, after the summary.
    ///
    /// # Errors
    /// The status of the call; or there are more messages.
    pub(crate) async fn end(mut self) -> Result<(), Fault> {
        match self.message().await? {
            None => Ok(()),
            Some(_) => Err(Fault::protocol("summary", "is not the last message of the stream")),
        }
    }

    async fn message(&mut self) -> Result<Option<M::Response>, Fault> {
        if let State::Waiting(_) = self.0
            && let State::Waiting(call) = std::mem::replace(&mut self.0, State::Ended)
        {
            let Waiting { stub, request } = *call;
            let call = Box::pin(M::call(stub, request));
            self.0 = State::Begun(Box::new(call.await?.into_inner()));
        }
        let message = match &mut self.0 {
            State::Begun(messages) => messages.message().await,
            State::Waiting(_) | State::Ended => Ok(None),
        };
        if !matches!(message, Ok(Some(_))) {
            self.0 = State::Ended;
        }
        Ok(message?)
    }
}

/// A message of a response that has no part.
pub(crate) fn no_part() -> Fault {
    Fault::protocol("part", "is missing")
}

/// Elements, or an end, before the header.
pub(crate) fn no_header() -> Fault {
    Fault::protocol("header", "is missing: it is the first message")
}

/// A header that is not due.
pub(crate) fn unexpected_header() -> Fault {
    Fault::protocol("header", "comes a second time, or belongs to another call")
}
