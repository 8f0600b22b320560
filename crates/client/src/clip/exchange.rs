//! A stream of gradients to clip.

use std::io;

use evenkeel_proto::v1::{
    self as pb, clip_gradients_stream_request as request, clip_gradients_stream_response as response,
};
use tokio::io::AsyncWrite;

use super::sinks::Sinks;
use crate::{
    Error, Open,
    fault::Fault,
    limits::Streamed,
    stream::{
        ClipGradientsStream, Exchange, Method as _, Origin, Output, Requests, Responses, expect_description, no_header,
        no_part, unexpected_header,
    },
};

/// Gradients that are sent, in this order.
pub(super) struct Gradients<O> {
    pub(super) described: Vec<Described>,
    /// As many: where their bytes come from.
    pub(super) origins: Vec<Origin<O>>,
}

/// What is known of a gradient before its elements.
pub(super) struct Described {
    /// It has no elements.
    pub(super) tensor: pb::Tensor,
    /// The bytes of its elements.
    pub(super) len: u64,
}

/// Makes the call with some of the gradients: those that begin with the one at index `first`.
pub(super) async fn exchange<O, W, F, N>(
    streamed: &Streamed,
    header: pb::ClipGradientsRequest,
    (first, described, origins): (usize, &[Described], &mut [Origin<O>]),
    sinks: &mut Sinks<W, F>,
) -> Result<pb::ClipGradientsResponse, Error>
where
    O: Open,
    W: AsyncWrite + Unpin,
    F: FnMut(usize) -> N,
    N: Future<Output = io::Result<W>>,
{
    let Exchange { requests, responses, call } = Exchange::<ClipGradientsStream>::new(streamed);
    call.both(feed(requests, header, described, origins), take(responses, first, described, sinks)).await
}

fn message(part: request::Part) -> pb::ClipGradientsStreamRequest {
    pb::ClipGradientsStreamRequest { part: Some(part) }
}

async fn feed<O: Open>(
    requests: Requests<pb::ClipGradientsStreamRequest>,
    header: pb::ClipGradientsRequest,
    described: &[Described],
    origins: &mut [Origin<O>],
) -> Result<(), Fault> {
    requests.message(message(request::Part::Header(header))).await;
    for (Described { tensor, len }, origin) in described.iter().zip(origins) {
        if requests.is_over() {
            return Ok(());
        }
        let mut source = origin.open().await?;
        requests.message(message(request::Part::Tensor(tensor.clone()))).await;
        requests.data(&mut source, *len, ClipGradientsStream::data).await?;
    }
    requests.complete();
    Ok(())
}

async fn take<W, F, N>(
    mut responses: Responses<ClipGradientsStream>,
    first: usize,
    described: &[Described],
    sinks: &mut Sinks<W, F>,
) -> Result<pb::ClipGradientsResponse, Fault>
where
    W: AsyncWrite + Unpin,
    F: FnMut(usize) -> N,
    N: Future<Output = io::Result<W>>,
{
    match responses.next().await?.part.ok_or_else(no_part)? {
        response::Part::Header(_) => {}
        response::Part::Tensor(_) | response::Part::Data(_) | response::Part::Summary(_) => return Err(no_header()),
    }
    let mut expected = (first..).zip(described);
    let mut output: Option<Output<W>> = None;
    let summary = loop {
        match responses.next().await?.part.ok_or_else(no_part)? {
            response::Part::Tensor(tensor) => {
                finish(output.take(), sinks).await?;
                let Some((index, Described { tensor: sent, len })) = expected.next() else {
                    return Err(Fault::protocol("gradients", "are more than were sent"));
                };
                let field = format!("gradients[{index}]");
                expect_description(&field, Some(tensor), sent)?;
                output = Some(Output::new(field + ".data", sinks.open(index, sent, *len).await?, *len));
            }
            response::Part::Data(bytes) => match &mut output {
                Some(output) => output.take(bytes).await?,
                None => return Err(Fault::protocol("tensor", "is missing before data: each gradient begins with one")),
            },
            response::Part::Summary(summary) => break summary,
            response::Part::Header(_) => return Err(unexpected_header()),
        }
    };
    responses.end().await?;
    finish(output, sinks).await?;
    if let Some((index, _)) = expected.next() {
        return Err(Fault::protocol("gradients", format!("end before the one at index {index}")));
    }
    Ok(summary)
}

/// Ends what has come of a gradient.
async fn finish<W: AsyncWrite + Unpin, F>(output: Option<Output<W>>, sinks: &mut Sinks<W, F>) -> Result<(), Fault> {
    if let Some(mut output) = output {
        output.complete().await?;
        sinks.close(output.into_sink());
    }
    Ok(())
}
