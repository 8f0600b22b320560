//! Calls whose tensors come and go in chunks are answered here.
//!
//! A task of its own reads the request and computes the answer, and waits until the connection takes each part of it. So the server
//! does not read from a client that does not read its answer, and HTTP/2's window then stops the client. A call holds a few
//! chunks, however long its tensors are.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc::channel;
use tonic::{body::Body, codegen::http::Response};

use super::{
    following,
    parts::{Part, Parts},
};
use crate::{
    error::Error,
    metrics::Route,
    service::{CAPACITY, CallContext, Service, Sink, TensorStream},
};

/// Answers a call. `limit` is the length of the longest message that it may send, in bytes.
pub(super) async fn respond<S: TensorStream>(
    service: Arc<Service>,
    context: CallContext,
    body: Body,
    limit: usize,
    begin: fn(Arc<Service>, CallContext) -> S,
) -> Response<Body> {
    let record = context.record.clone();
    record.took(Route::Chunks);
    let (sender, parts) = channel(CAPACITY);
    let ended = sender.clone();
    let mut sink = Sink::new(sender, &service, &context.reservation);
    let messages = Parts::new(body, record.method(), limit, &context.reservation);
    let stream = begin(Arc::clone(&service), context.clone());
    let reading = async move { run(messages, stream, &service, &context, &mut sink).await };
    following::follow(reading, ended, parts, record).await
}

/// Reads the request to its end, and gives the stream each message and each piece of data.
async fn run<S: TensorStream>(
    mut messages: Parts,
    mut stream: S,
    service: &Service,
    context: &CallContext,
    sink: &mut Sink,
) -> Result<(), Error> {
    while let Some(part) = messages.next().await? {
        match part {
            Part::Begins(0) => stream.data(Bytes::new(), sink).await?,
            Part::Begins(len) => sink.client_sends(len),
            Part::Data(bytes) => stream.data(bytes, sink).await?,
            Part::Message(bytes) => stream.part(service.decode_streamed::<S>(context, bytes).await?, sink).await?,
        }
    }
    stream.finish(sink).await
}
