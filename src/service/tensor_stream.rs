//! Calls whose tensors come and go in chunks, while they are computed.

use bytes::Bytes;
use prost::Message;

use super::{
    CallContext, Service,
    flow::{Flow, Form},
    sink::Sink,
};
use crate::{error::Error, executor::Pieces, ops::Incremental};

/// The number of the field with bytes of a tensor, in messages of requests and of answers.
pub(crate) const DATA: u32 = 15;

/// A call whose request and answer are streams of messages with chunks of tensors.
pub(crate) trait TensorStream: Sized + Send + 'static {
    /// A message of the request.
    type Request: Message + Default + Send + 'static;
    /// What a message says, in the types of the operation.
    type Part: Send + 'static;

    /// Checks a message by itself and converts it. `limit` is the length of the longest message, in bytes.
    ///
    /// # Errors
    /// Those of the message.
    fn decode(message: Self::Request, limit: usize) -> Result<Self::Part, Error>;

    /// Takes a message that was read as a whole. Messages that are recognized as all data go to [`data`](Self::data) instead.
    fn part(&mut self, part: Self::Part, sink: &mut Sink) -> impl Future<Output = Result<(), Error>> + Send;

    /// Takes the next bytes of the tensor.
    fn data(&mut self, bytes: Bytes, sink: &mut Sink) -> impl Future<Output = Result<(), Error>> + Send;

    /// Ends the answer. All messages of the request must have been taken.
    fn finish(self, sink: &mut Sink) -> impl Future<Output = Result<(), Error>> + Send;
}

impl Service {
    /// Decodes a message of a stream, on the pool if that takes long.
    ///
    /// # Errors
    /// [`Error::Unreadable`], if the bytes are no message; those of [`TensorStream::decode`] and of the executor.
    pub(crate) async fn decode_streamed<S: TensorStream>(
        &self,
        context: &CallContext,
        message: Bytes,
    ) -> Result<S::Part, Error> {
        let is_heavy = Self::is_heavy(context.record.method(), &message);
        let limit = self.limits.message;
        let decode = move || {
            let message = S::Request::decode(message).map_err(|error| Error::undecodable(&error))?;
            S::decode(message, limit)
        };
        if !is_heavy {
            return decode();
        }
        context.run(&self.executor, std::time::Duration::MAX, move |_| decode()).await
    }

    /// The most bytes of a tensor in a chunk that is sent.
    pub(crate) fn max_chunk(&self) -> usize {
        /// The most bytes of a chunk's key and length.
        const FIELD: usize = 8;
        self.limits.chunk.min(self.limits.message - FIELD)
    }
}

/// A tensor that is computed while its bytes come.
pub(super) struct Tensor<I> {
    pub(super) flow: Flow<I>,
    pieces: Pieces,
}

impl<I: Incremental> Tensor<I> {
    /// Reserves the memory that the operation and its answer hold at a time, and begins the operation.
    ///
    /// # Errors
    /// [`Error::Overloaded`], [`Error::TooMuchMemory`].
    pub(super) fn begin(
        service: &Service,
        context: &CallContext,
        operation: I,
        sink: &mut Sink,
    ) -> Result<Self, Error> {
        sink.reserve(operation.total_len())?;
        let scratch = context.reservation.reserve_with_scratch(0, Flow::held(&operation, sink.chunk()))?;
        let pieces = service.executor.stream_pieces(&context.record);
        Ok(Self { flow: Flow::new(operation, Form::Chunks, scratch), pieces })
    }

    /// Computes the next `bytes` of the tensor, and sends the sheets that they fill. For each part it calls `found` with the
    /// operation and the part's findings.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the bytes are more than are missing; those of the operation, of the executor and of the sink.
    pub(super) async fn take(
        &mut self,
        service: &Service,
        mut bytes: Bytes,
        sink: &mut Sink,
        mut found: impl FnMut(&I, I::Found) + Send,
    ) -> Result<(), Error> {
        expect_at_most(self.flow.missing(), &bytes)?;
        let buffers = service.executor.buffers();
        while !bytes.is_empty() {
            let chunk = sink.chunk();
            if self.flow.begins_unit(chunk) {
                self.flow.give_place(sink.unit().await);
            }
            let Some(computed) = self.flow.take(&mut bytes, &mut self.pieces, buffers, chunk).await? else { break };
            found(self.flow.operation(), computed.found);
            if let Some(sheet) = computed.sheet {
                sink.sheet(DATA, sheet).await?;
            }
        }
        Ok(())
    }

    /// Waits until all units that are longer than a chunk were sent, and returns the operation. The reservation for such units ends
    /// with the flow.
    pub(super) async fn end(self, sink: &Sink) -> I {
        sink.units_sent().await;
        self.flow.into_operation()
    }

    /// Checks that all bytes of the tensor have come.
    ///
    /// # Errors
    /// [`Error::Invalid`] if some are missing.
    pub(super) fn expect_complete(&self) -> Result<(), Error> {
        match self.flow.missing() {
            0 => Ok(()),
            missing => Err(incomplete(missing)),
        }
    }
}

/// The error of a tensor whose last bytes have not come.
pub(super) fn incomplete(missing: usize) -> Error {
    Error::invalid("data", format!("the last {missing} bytes of the tensor are missing"))
}

/// Checks that the next bytes of a tensor are no more than are missing.
///
/// # Errors
/// [`Error::Invalid`] if they are more.
pub(super) fn expect_at_most(missing: usize, bytes: &Bytes) -> Result<(), Error> {
    beyond(missing, bytes).map_or(Ok(()), |reason| Err(Error::invalid("data", reason)))
}

/// The text of an error about the next bytes of a tensor, if they are more than are missing.
pub(super) fn beyond(missing: usize, bytes: &Bytes) -> Option<String> {
    let is_beyond = bytes.len() > missing;
    is_beyond.then(|| format!("expected at most the {missing} bytes that are missing, got {} or more", bytes.len()))
}

/// The error of a message without a part.
pub(super) fn no_part() -> Error {
    Error::invalid("part", "is required: a message has one")
}

/// The error of a second header.
pub(super) fn second_header(field: &'static str) -> Error {
    Error::invalid(field, "comes a second time: a call has one header")
}

/// The error of a request that has other messages before its header, or no header at all.
pub(super) fn no_header() -> Error {
    Error::invalid("header", "is required: it is the first message")
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use evenkeel_proto::v1 as pb;

    use super::*;
    use crate::{buffers::Buffers, executor::Executor, grpc::Method, service::Limits};

    /// A stream whose messages say on which thread they were converted.
    struct Converted;

    impl TensorStream for Converted {
        type Request = pb::ClipGradientsStreamRequest;
        type Part = thread::ThreadId;

        fn decode(_: Self::Request, _: usize) -> Result<Self::Part, Error> {
            Ok(thread::current().id())
        }

        async fn part(&mut self, _: Self::Part, _: &mut Sink) -> Result<(), Error> {
            Ok(())
        }

        async fn data(&mut self, _: Bytes, _: &mut Sink) -> Result<(), Error> {
            Ok(())
        }

        async fn finish(self, _: &mut Sink) -> Result<(), Error> {
            Ok(())
        }
    }

    /// Converting a message of very many fields may take as long as decoding it.
    #[tokio::test]
    async fn heavy_messages_are_decoded_and_converted_on_the_pool() {
        let executor = Executor::new(1, 0, Buffers::new(0), None).expect("one thread can be started");
        let service =
            Service::new(Arc::new(executor), Limits { message: 1 << 20, chunk: 1 << 20, frame: 1 << 20 }, Vec::new());
        let context = CallContext::detached(Method::ClipGradientsStream, 1 << 30);
        let here = async |gradients| {
            let header =
                pb::ClipGradientsRequest { gradients: vec![pb::Tensor::default(); gradients], ..Default::default() };
            let part = Some(pb::clip_gradients_stream_request::Part::Header(header));
            let message = pb::ClipGradientsStreamRequest { part }.encode_to_vec();
            let thread = service.decode_streamed::<Converted>(&context, message.into()).await.expect("it is right");
            thread == thread::current().id()
        };
        assert!(here(1).await && !here(20_000).await);
    }
}
