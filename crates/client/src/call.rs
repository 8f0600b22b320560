//! Calls of the generated stub.

use evenkeel_proto::v1::tensor_ops_service_client::TensorOpsServiceClient;
use tonic::{Request, Status, transport::Channel};

use crate::{
    Client, Error,
    collecting::Collecting,
    deadline::Deadline,
    direct::Transport,
    fault::Fault,
    reset::{IsComplete, ResetsIncomplete},
};

/// A call of the generated stub that is about to be made.
pub(crate) struct Call {
    client: Client,
    deadline: Deadline,
}

impl Client {
    /// Prepares a call whose request is a stream and whose response is one message.
    pub(crate) fn collect<M>(&self, messages: M) -> (Collecting<Channel>, Call, Request<M>) {
        let (channel, call, request) = self.begin(messages);
        (Collecting::new(channel, self.max_message_bytes()), call, request)
    }

    /// The same for a request whose stream is reset where it is not complete.
    pub(crate) fn collect_whole<M>(&self, messages: M) -> (Collecting<ResetsIncomplete>, Call, Request<M>, IsComplete) {
        let (channel, call, request) = self.begin(messages);
        let (channel, is_complete) = ResetsIncomplete::new(channel);
        (Collecting::new(channel, self.max_message_bytes()), call, request, is_complete)
    }

    /// Prepares a call of the generated stub, whose messages must each be within the limit.
    pub(crate) fn stream<M>(&self, messages: M) -> (TensorOpsServiceClient<Channel>, Call, Request<M>) {
        let (channel, call, request) = self.begin(messages);
        (self.stub(channel), call, request)
    }

    /// The same for a request whose stream is reset where it is not complete.
    pub(crate) fn stream_whole<M>(
        &self,
        messages: M,
    ) -> (TensorOpsServiceClient<ResetsIncomplete>, Call, Request<M>, IsComplete) {
        let (channel, call, request) = self.begin(messages);
        let (channel, is_complete) = ResetsIncomplete::new(channel);
        (self.stub(channel), call, request, is_complete)
    }

    fn stub<T: Transport>(&self, channel: T) -> TensorOpsServiceClient<T> {
        let limit = self.max_message_bytes();
        TensorOpsServiceClient::new(channel).max_decoding_message_size(limit).max_encoding_message_size(limit)
    }

    fn begin<M>(&self, messages: M) -> (Channel, Call, Request<M>) {
        let (channel, request) = self.request(messages);
        (channel, Call { client: self.clone(), deadline: Deadline::after(self.timeout()) }, request)
    }
}

impl Call {
    /// Waits for the result of the call, until its deadline.
    pub(crate) async fn end<T>(&self, call: impl Future<Output = Result<T, Status>>) -> Result<T, Error> {
        self.deadline.end(call).await.map_err(|status| self.client.error(status, self.deadline))
    }

    pub(crate) fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// The same for a call that may also fail on this side.
    pub(crate) async fn end_exchange<T>(&self, call: impl Future<Output = Result<T, Fault>>) -> Result<T, Error> {
        self.client.by(self.deadline, call).await
    }
}
