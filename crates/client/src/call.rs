//! Calls of the generated stub.

use evenkeel_proto::v1::tensor_ops_service_client::TensorOpsServiceClient;
use tonic::{Request, Status, transport::Channel};

use crate::{
    Client, Error,
    collecting::Collecting,
    deadline::Deadline,
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
        let (channel, request) = self.request(messages);
        let call = Call { client: self.clone(), deadline: Deadline::after(self.timeout()) };
        (Collecting::new(channel, self.max_message_bytes()), call, request)
    }

    /// The same for a request whose stream is reset where it is not complete.
    pub(crate) fn collect_whole<M>(&self, messages: M) -> (Collecting<ResetsIncomplete>, Call, Request<M>, IsComplete) {
        let (channel, request) = self.request(messages);
        let (channel, is_complete) = ResetsIncomplete::new(channel);
        let call = Call { client: self.clone(), deadline: Deadline::after(self.timeout()) };
        (Collecting::new(channel, self.max_message_bytes()), call, request, is_complete)
    }

    /// Prepares a call of the generated stub, whose messages must each be within the limit.
    pub(crate) fn stream<M>(&self, messages: M) -> (TensorOpsServiceClient<Channel>, Call, Request<M>) {
        let limit = self.max_message_bytes();
        let (channel, request) = self.request(messages);
        let deadline = Deadline::after(self.timeout());
        let stub =
            TensorOpsServiceClient::new(channel).max_decoding_message_size(limit).max_encoding_message_size(limit);
        (stub, Call { client: self.clone(), deadline }, request)
    }

    /// The same for a request that is whose stream is reset where it is not complete.
    pub(crate) fn stream_whole<M>(
        &self,
        messages: M,
    ) -> (TensorOpsServiceClient<ResetsIncomplete>, Call, Request<M>, IsComplete) {
        let limit = self.max_message_bytes();
        let (channel, request) = self.request(messages);
        let (channel, is_complete) = ResetsIncomplete::new(channel);
        let stub =
            TensorOpsServiceClient::new(channel).max_decoding_message_size(limit).max_encoding_message_size(limit);
        (stub, Call { client: self.clone(), deadline: Deadline::after(self.timeout()) }, request, is_complete)
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
