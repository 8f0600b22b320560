//! The answers that are streams.

use std::time::Duration;

use prost_types::Any;
use tokio::{sync::mpsc, time::sleep};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Status, Streaming, metadata::MetadataMap};

use crate::{
    answers::{Answers, answered, ended},
    metadata::{any, metadata, request_info, status},
    pb,
};

/// Answers with all messages of the definition.
pub(crate) async fn server_stream(
    call: MetadataMap,
    request: pb::ServerStreamRequest,
) -> Result<Response<Answers<pb::ServerStreamResponse>>, Status> {
    let requests = vec![any(&request)];
    let (sender, answer) =
        Sender::begin(call, request.response_definition, |payload| pb::ServerStreamResponse { payload })?;
    tokio::spawn(async move { sender.finish(requests).await });
    Ok(answer)
}

/// Answers with all messages of the definition: one for each request if the stream is full-duplex, else after all requests.
pub(crate) async fn bidi_stream(
    call: MetadataMap,
    mut requests: Streaming<pb::BidiStreamRequest>,
) -> Result<Response<Answers<pb::BidiStreamResponse>>, Status> {
    let first = requests.message().await?;
    let is_full_duplex = first.as_ref().is_some_and(|first| first.full_duplex);
    let mut received: Vec<_> = first.iter().map(any).collect();
    if !is_full_duplex {
        while let Some(request) = requests.message().await? {
            received.push(any(&request));
        }
    }
    let definition = first.and_then(|first| first.response_definition);
    let (mut sender, answer) = Sender::begin(call, definition, |payload| pb::BidiStreamResponse { payload })?;
    tokio::spawn(async move {
        while is_full_duplex && sender.has_more() {
            sender.send_next(Some(std::mem::take(&mut received))).await;
            match requests.message().await {
                Ok(Some(request)) => received.push(any(&request)),
                Ok(None) => break,
                Err(status) => return sender.fail(status).await,
            }
        }
        sender.finish(received).await;
    });
    Ok(answer)
}

/// Sends the messages of an answer.
struct Sender<M> {
    call: MetadataMap,
    definition: pb::StreamResponseDefinition,
    trailers: MetadataMap,
    /// The number of messages that were sent.
    sent: usize,
    wrap: fn(Option<pb::ConformancePayload>) -> M,
    items: mpsc::Sender<Result<M, Status>>,
}

impl<M: Send + 'static> Sender<M> {
    /// The sender of an answer, and the answer, whose headers are sent at once.
    fn begin(
        call: MetadataMap,
        definition: Option<pb::StreamResponseDefinition>,
        wrap: fn(Option<pb::ConformancePayload>) -> M,
    ) -> Result<(Self, Response<Answers<M>>), Status> {
        let definition = definition.unwrap_or_default();
        let headers = metadata(&definition.response_headers)?;
        let trailers = metadata(&definition.response_trailers)?;
        let (items, taken) = mpsc::channel(1);
        Ok((Self { call, definition, trailers, sent: 0, wrap, items }, answered(headers, ReceiverStream::new(taken))))
    }

    fn has_more(&self) -> bool {
        self.sent < self.definition.response_data.len()
    }

    /// Sends the next message. `requests`: it tells of these; `None`: it tells of none.
    async fn send_next(&mut self, requests: Option<Vec<Any>>) {
        sleep(Duration::from_millis(self.definition.response_delay_ms.into())).await;
        let request_info = requests.map(|requests| self.info(requests));
        let data = std::mem::take(&mut self.definition.response_data[self.sent]);
        self.sent += 1;
        self.put(Ok((self.wrap)(Some(pb::ConformancePayload { data, request_info })))).await;
    }

    /// The first message tells of the call, those after it of requests alone.
    fn info(&self, requests: Vec<Any>) -> pb::conformance_payload::RequestInfo {
        if self.sent == 0 {
            request_info(&self.call, requests)
        } else {
            pb::conformance_payload::RequestInfo { requests, ..Default::default() }
        }
    }

    /// Sends all messages that are left, and the end. `requests`: those that no message has told of.
    async fn finish(mut self, requests: Vec<Any>) {
        let mut requests = Some(requests);
        while self.has_more() {
            let told = requests.take_if(|_| self.sent == 0);
            self.send_next(told).await;
        }
        let status = match self.definition.error.take() {
            Some(error) => {
                let info = requests.filter(|_| self.sent == 0).map(|requests| self.info(requests));
                status(error, info, std::mem::take(&mut self.trailers))
            }
            None => ended(std::mem::take(&mut self.trailers)),
        };
        self.fail(status).await;
    }

    /// Ends the answer with this status.
    async fn fail(self, status: Status) {
        self.put(Err(status)).await;
    }

    async fn put(&self, item: Result<M, Status>) {
        // An error means that the client has left.
        let _ = self.items.send(item).await;
    }
}
