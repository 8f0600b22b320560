//! A stream of dropout, forward or backward.

use evenkeel_proto::v1::{self as pb, dropout_stream_request as request, dropout_stream_response as response};
use tokio::io::{AsyncRead, AsyncWrite, Empty, Sink as Nowhere};

use crate::{
    Element, Error, Tensor,
    codec::{Elements, Received},
    fault::Fault,
    limits::Streamed,
    stream::{
        DropoutStream, Exchange, Method as _, Output, Responses, Sink, Source, expect_description, no_header, no_part,
        unexpected_header,
    },
};

/// What a stream asks for; its tensor has no elements.
pub(super) enum Header {
    Forward(pb::DropoutRequest),
    Backward(pb::DropoutBackwardRequest),
}

impl Header {
    fn tensor(&mut self) -> &mut pb::Tensor {
        let tensor = match self {
            Self::Forward(request) => &mut request.input,
            Self::Backward(request) => &mut request.grad_output,
        };
        tensor.get_or_insert_default()
    }

    fn into_message(self) -> pb::DropoutStreamRequest {
        let part = match self {
            Self::Forward(header) => request::Part::Header(header),
            Self::Backward(header) => request::Part::BackwardHeader(header),
        };
        pb::DropoutStreamRequest { part: Some(part) }
    }
}

/// What comes back beside what is written.
pub(super) struct Outcome {
    pub(super) kept: u64,
    /// The elements, if they went to an array.
    pub(super) elements: Option<Tensor>,
}

/// Makes the call: sends `len` bytes of a tensor, of which as many come back, beside `mask_len` of the mask.
pub(super) async fn exchange<R, W, M>(
    streamed: &Streamed,
    mut header: Header,
    (mut source, len): (Source<R>, u64),
    output: Sink<W>,
    (mask, mask_len): (M, u64),
) -> Result<Outcome, Error>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
    M: AsyncWrite + Unpin,
{
    let Exchange { requests, responses, call } = Exchange::<DropoutStream>::new(streamed);
    let expected = Expected { tensor: header.tensor().clone(), is_backward: matches!(header, Header::Backward(_)) };
    let feed = async move {
        requests.message(header.into_message()).await;
        requests.data(&mut source, len, DropoutStream::data).await?;
        requests.complete();
        Ok(())
    };
    let (output, mask) = (Output::new("data", output, len), Output::new("mask", Sink::Writer(mask), mask_len));
    call.both(feed, take(responses, expected, output, mask)).await
}

/// What the header of the response has to say.
struct Expected {
    tensor: pb::Tensor,
    is_backward: bool,
}

impl Expected {
    fn check(&self, header: response::Part) -> Result<(), Fault> {
        let (field, tensor) = match header {
            response::Part::Header(header) if !self.is_backward => ("output", header.output),
            response::Part::BackwardHeader(header) if self.is_backward => ("grad_input", header.grad_input),
            response::Part::Header(_) | response::Part::BackwardHeader(_) => return Err(unexpected_header()),
            response::Part::Data(_) | response::Part::Mask(_) | response::Part::Summary(_) => return Err(no_header()),
        };
        Ok(expect_description(field, tensor, &self.tensor)?)
    }
}

async fn take<W: AsyncWrite + Unpin, M: AsyncWrite + Unpin>(
    mut responses: Responses<DropoutStream>,
    expected: Expected,
    mut output: Output<W>,
    mut mask: Output<M>,
) -> Result<Outcome, Fault> {
    expected.check(responses.next().await?.part.ok_or_else(no_part)?)?;
    let kept = loop {
        match responses.next().await?.part.ok_or_else(no_part)? {
            response::Part::Data(bytes) => output.take(bytes).await?,
            response::Part::Mask(bytes) => mask.take(bytes).await?,
            response::Part::Summary(pb::DropoutResponse { kept, mask: _, output: _ }) => break kept,
            response::Part::Header(_) | response::Part::BackwardHeader(_) => return Err(unexpected_header()),
        }
    };
    responses.end().await?;
    output.complete().await?;
    mask.complete().await?;
    Ok(Outcome { kept, elements: output.into_sink().into_tensor() })
}

/// Makes the call with a tensor that has elements, for one of as many; the mask comes as bytes.
pub(super) async fn in_memory<A: Element>(
    streamed: &Streamed,
    mut header: Header,
    mask_len: u64,
) -> Result<(Received, u64, Vec<u8>), Error> {
    let data = std::mem::take(&mut header.tensor().data);
    let tensor = header.tensor().clone();
    let len = data.len();
    let elements = Elements::with_capacity(A::DTYPE, len).expect("this client encoded whole elements");
    let source = (Source::<Empty>::Bytes(data), len as u64);
    let sink = Sink::<Nowhere>::Memory(elements);
    let mut mask = Vec::new();
    let Outcome { kept, elements } = exchange(streamed, header, source, sink, (&mut mask, mask_len)).await?;
    Ok((Received { tensor, landed: elements }, kept, mask))
}
