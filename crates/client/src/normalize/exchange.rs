//! A stream of a normalization, in one pass or two.

use std::time::Instant;

use evenkeel_proto::v1::{self as pb, normalize_stream_request as request, normalize_stream_response as response};
use tokio::io::AsyncWrite;

use crate::{
    Error, Open, Tensor,
    fault::Fault,
    limits::Streamed,
    statistics,
    stream::{
        Exchange, Method as _, NormalizeStream, Origin, Output, Responses, Sink, expect_description, no_header,
        no_part, unexpected_header,
    },
};

/// The answer without elements.
pub(super) struct Outcome {
    pub(super) answer: pb::NormalizeResponse,
    /// The elements, if they went to an array.
    pub(super) elements: Option<Tensor>,
}

/// Makes the call with a request whose input has no elements: their `len` bytes come from the origin.
pub(super) async fn exchange<O: Open, W: AsyncWrite + Unpin>(
    streamed: &Streamed,
    header: pb::NormalizeRequest,
    (origin, len): (&mut Origin<O>, u64),
    sink: Sink<W>,
) -> Result<Outcome, Error> {
    let Exchange { requests, responses, call } = Exchange::<NormalizeStream>::new(streamed);
    let sent = header.input.clone().unwrap_or_default();
    let feed = async move {
        let mut source = origin.open().await?;
        requests.message(pb::NormalizeStreamRequest { part: Some(request::Part::Header(header)) }).await;
        requests.data(&mut source, len, NormalizeStream::data).await?;
        requests.complete();
        Ok(())
    };
    call.both(feed, take(responses, &sent, Output::new("data", sink, len))).await
}

async fn take<W: AsyncWrite + Unpin>(
    mut responses: Responses<NormalizeStream>,
    sent: &pb::Tensor,
    mut output: Output<W>,
) -> Result<Outcome, Fault> {
    let axes = match responses.next().await?.part.ok_or_else(no_part)? {
        response::Part::Header(pb::NormalizeResponse { axes, output, .. }) => {
            expect_description("output", output, sent)?;
            axes
        }
        response::Part::Data(_) | response::Part::Summary(_) => return Err(no_header()),
    };
    let summary = loop {
        match responses.next().await?.part.ok_or_else(no_part)? {
            response::Part::Data(bytes) => output.take(bytes).await?,
            response::Part::Summary(summary) => break summary,
            response::Part::Header(_) => return Err(unexpected_header()),
        }
    };
    responses.end().await?;
    output.complete().await?;
    let answer = pb::NormalizeResponse { axes, output: None, ..summary };
    Ok(Outcome { answer, elements: output.into_sink().into_tensor() })
}

/// Normalizes by the statistics that the first pass measures, if the input's own are asked for.
pub(super) async fn in_two_passes<O: Open, W: AsyncWrite + Unpin>(
    streamed: Streamed,
    header: pb::NormalizeRequest,
    (origin, len): (&mut Origin<O>, u64),
    sink: Sink<W>,
) -> Result<Outcome, Error> {
    if !uses_own_statistics(&header) {
        return exchange(&streamed, header, (origin, len), sink).await;
    }
    let began = Instant::now();
    let statistics = statistics::of_origin(&streamed, &header, (origin, len)).await?;
    let header = pb::NormalizeRequest { statistics: Some(statistics.to_wire()), ..header };
    exchange(&streamed.since(began), header, (origin, len), sink).await
}

/// Neither running nor merged ones.
fn uses_own_statistics(header: &pb::NormalizeRequest) -> bool {
    header.statistics.is_none() && header.training.unwrap_or(header.running_mean.is_none())
}
