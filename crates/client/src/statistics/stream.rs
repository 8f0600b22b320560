//! Statistics of a tensor that is read while it is sent.

use evenkeel_proto::v1::{self as pb, measure_statistics_request::Part};

use super::{Due, options::setters};
use crate::{
    Client, Error, NormKind, Open, StatisticsPartial, TensorSource,
    fault::Fault,
    limits::Streamed,
    stream::{Origin, collected},
};

/// A tensor of which statistics are measured while it is read; made by [`Client::measure_statistics_stream`].
#[derive(Debug)]
#[must_use = "nothing is sent before `kind(…).send()`"]
pub struct MeasureStatisticsStreamInput<O> {
    client: Client,
    input: TensorSource<O>,
}

/// Statistics of a tensor that is read while they are measured, by [`send`](Self::send).
#[derive(Debug)]
#[must_use = "nothing is sent before `send()`"]
pub struct MeasureStatisticsStream<O> {
    client: Client,
    header: pb::NormalizeRequest,
    input: TensorSource<O>,
}

impl Client {
    /// As [`measure_statistics`](Self::measure_statistics), of a tensor of any size, which is opened and read while it is sent. A
    /// few chunks are in memory at a time. The kind comes next: [`MeasureStatisticsStreamInput::kind`].
    ///
    /// ```
    /// use evenkeel_client::{DType, NormKind, TensorReader};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = evenkeel::server::Running::start(evenkeel::config::ServerConfig::on_free_port()).await?;
    /// # let client = evenkeel_client::Client::connect(server.url()).await?;
    /// let file: &[u8] = &[0, 0, 0x80, 0x3F].repeat(12); // tokio::fs::File is a reader, too
    /// let part = TensorReader::new(DType::F32, [4, 3], file);
    /// let statistics = client.measure_statistics_stream(part).kind(NormKind::Batch).send().await?;
    /// assert_eq!((statistics.shape(), statistics.elements()), (&[3][..], 4));
    /// # Ok(())
    /// # }
    /// ```
    pub fn measure_statistics_stream<O: Open>(
        &self,
        input: impl Into<TensorSource<O>>,
    ) -> MeasureStatisticsStreamInput<O> {
        MeasureStatisticsStreamInput { client: self.clone(), input: input.into() }
    }
}

impl<O: Open> MeasureStatisticsStreamInput<O> {
    /// The normalization that the statistics are for.
    pub fn kind(self, kind: NormKind) -> MeasureStatisticsStream<O> {
        let Self { client, input } = self;
        let header = pb::NormalizeRequest { kind: kind.to_wire().into(), ..pb::NormalizeRequest::default() };
        MeasureStatisticsStream { client, header, input }
    }
}

setters!([O] MeasureStatisticsStream<O>);

impl<O: Open> MeasureStatisticsStream<O> {
    /// Makes the call.
    ///
    /// # Errors
    /// [`Error::Read`]; [`Error::InvalidArgument`] for options that do not fit; any [`Error`] that has to do with the connection.
    pub async fn send(self) -> Result<StatisticsPartial, Error> {
        let Self { client, mut header, input } = self;
        header.input = Some(input.describe());
        let len = input.byte_len();
        let mut origin = Origin::Open(input.into_opener());
        of_origin(&client.streamed().await?, &header, (&mut origin, len)).await
    }
}

/// The statistics of the input of a normalization, which has no elements: their `len` bytes come from the origin.
pub(crate) async fn of_origin<O: Open>(
    streamed: &Streamed,
    request: &pb::NormalizeRequest,
    (origin, len): (&mut Origin<O>, u64),
) -> Result<StatisticsPartial, Error> {
    let header = pb::NormalizeRequest {
        kind: request.kind,
        axes: request.axes.clone(),
        groups: request.groups,
        channel_axis: request.channel_axis,
        input: request.input.clone(),
        ..Default::default()
    };
    let shape = request.input.as_ref().map(|input| &input.shape[..]).unwrap_or_default();
    let due = Due::of(request, shape, false);
    let (stub, request, requests, call) = collected::<pb::MeasureStatisticsRequest>(streamed);
    let feed = async move {
        let mut source = origin.open().await?;
        let part = Some(Part::Header(header));
        requests.message(pb::MeasureStatisticsRequest { part, ..Default::default() }).await;
        let message = |data| pb::MeasureStatisticsRequest { data, ..Default::default() };
        requests.data(&mut source, len, message).await?;
        requests.complete();
        Ok::<_, Fault>(())
    };
    let take = async move { Ok(stub.measure_statistics(request).await?) };
    StatisticsPartial::from_answer(call.both(feed, take).await?, Some(&due))
}
