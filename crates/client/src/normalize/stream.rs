//! NormalizeStream, with elements that are read and written on the way.

use tokio::io::AsyncWrite;

use evenkeel_proto::v1 as pb;

use super::{
    NormKind, answer,
    exchange::{Outcome, exchange, in_two_passes},
    options::{Options, forward, setters},
};
use crate::{
    Client, DType, Error, Open, StatisticsPartial, Tensor, TensorSource, statistics,
    stream::{Origin, Sink},
};

/// A tensor that is read while it is sent; made by [`Client::normalize_stream`].
#[derive(Debug)]
#[must_use = "nothing is sent before `kind(…).send(…)`"]
pub struct NormalizeStreamInput<O> {
    client: Client,
    input: TensorSource<O>,
}

/// A normalization of a tensor that is read while it is sent.
#[must_use = "nothing is sent before `send(…)`"]
pub struct NormalizeStream<O> {
    client: Client,
    dtype: DType,
    shape: Vec<usize>,
    origin: Origin<O>,
    len: u64,
    /// With the input, which has no elements.
    options: Options,
}

/// What is known of a [`NormalizeStream`] at its end.
#[derive(Clone, Debug, PartialEq)]
pub struct NormalizedStream {
    /// The axes that were pooled, in ascending order; for [`NormKind::Group`] with the channels' axis, which is split in groups.
    pub axes: Vec<usize>,
    /// The means, if [`return_statistics`](NormalizeStream::return_statistics) is set, of [`f64`] for such an input and else of
    /// [`f32`]; in the shape of [`Normalized::mean`](crate::Normalized::mean).
    pub mean: Option<Tensor>,
    /// The reciprocal deviations, as in [`Normalized::rstd`](crate::Normalized::rstd); in the type and shape of `mean`.
    pub rstd: Option<Tensor>,
    /// The new running mean, if one was given and the input's own statistics were used. Typed as it was given.
    pub running_mean: Option<Tensor>,
    /// The new running variance, likewise.
    pub running_var: Option<Tensor>,
}

impl Client {
    /// As [`normalize`](Self::normalize), of a tensor of any size: its elements are read from a file, or another reader, while they
    /// are sent, and the result is written while it arrives. A few chunks are in memory at a time. Arrays and views are not
    /// copied, whatever their layout. The kind comes next: [`NormalizeStreamInput::kind`].
    ///
    /// ```
    /// use evenkeel_client::{DType, NormKind, TensorReader, TensorSource};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = evenkeel::server::Running::start(evenkeel::config::ServerConfig::on_free_port()).await?;
    /// # let client = evenkeel_client::Client::connect(server.url()).await?;
    /// let file: &[u8] = &[0, 0, 0x80, 0x3F, 0, 0, 0x40, 0x40].repeat(3); // 1.0, 3.0, 1.0, ...; tokio::fs::File is a reader, too
    /// let rows = TensorReader::new(DType::F32, [3, 2], file);
    /// let mut output = Vec::new();
    /// let normalized = client.normalize_stream(rows).kind(NormKind::Layer).eps(0.0).send(&mut output).await?;
    /// assert_eq!(normalized.axes, [1]);
    /// assert_eq!(output, [0, 0, 0x80, 0xBF, 0, 0, 0x80, 0x3F].repeat(3)); // -1.0, 1.0, ...
    ///
    /// // A channel of a batch reaches over all of the tensor: the server holds it, or it is read twice.
    /// let batch = TensorSource::new(DType::F32, [6, 1], || async move { Ok(file) });
    /// let call = client.normalize_stream(batch).kind(NormKind::Batch).return_statistics(true);
    /// let normalized = call.send_in_two_passes(&mut output).await?;
    /// assert_eq!(normalized.mean, Some(ndarray::array![2.0_f32].into()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn normalize_stream<O: Open>(&self, input: impl Into<TensorSource<O>>) -> NormalizeStreamInput<O> {
        NormalizeStreamInput { client: self.clone(), input: input.into() }
    }
}

impl<O: Open> NormalizeStreamInput<O> {
    /// The kind of normalization.
    pub fn kind(self, kind: NormKind) -> NormalizeStream<O> {
        let Self { client, input } = self;
        let (dtype, shape, len) = (input.dtype(), input.shape().to_vec(), input.byte_len());
        let mut options = Options::new(kind);
        options.request.input = Some(input.describe());
        NormalizeStream { client, dtype, shape, origin: Origin::Open(input.into_opener()), len, options }
    }
}

setters!([O] NormalizeStream<O>);
forward!([O] NormalizeStream<O>);

impl<O: Open> NormalizeStream<O> {
    /// Measures the statistics of this tensor, by the options that are set, in the form that merges: the first of two passes by
    /// hand, for a tensor whose parts are on several servers. Merge the partials of all, and give them to
    /// [`statistics`](Self::statistics) of each part's call.
    ///
    /// # Errors
    /// [`Error::Read`]; [`Error::InvalidArgument`] for options that do not fit; any [`Error`] that has to do with the connection.
    pub async fn measure(&mut self) -> Result<StatisticsPartial, Error> {
        let streamed = self.client.clone().streamed().await?;
        statistics::of_origin(&streamed, &self.options.request, (&mut self.origin, self.len)).await
    }

    /// Makes the call in one pass, and writes the elements of the result: as many bytes as those of the input, little-endian,
    /// row-major. The writer is flushed at the end. An error leaves a part of the result there.
    ///
    /// The server holds what is pooled together and lies next to each other, such as a row or, for [`NormKind::Batch`] with the
    /// input's own statistics, the tensor; a chunk where the statistics are running or merged ones.
    ///
    /// # Errors
    /// [`Error::NeedsTwoPasses`] if it has no memory for that; [`Error::Read`], [`Error::Write`]; [`Error::InvalidArgument`] for
    /// options that do not fit; any [`Error`] that has to do with the connection.
    pub async fn send<W: AsyncWrite + Unpin>(self, output: W) -> Result<NormalizedStream, Error> {
        let Self { client, dtype, shape, mut origin, len, mut options } = self;
        let header = std::mem::take(&mut options.request);
        let due = answer::Due::of(&header, &shape);
        let streamed = client.streamed().await?;
        let outcome = exchange(&streamed, header, (&mut origin, len), Sink::Writer(output)).await?;
        finish(outcome, dtype, &due, options)
    }

    /// As [`send`](Self::send), in constant memory of the server: the tensor is read twice, to be measured and to be normalized.
    /// Where [`statistics`](Self::statistics) are given, or the running ones are used, one pass is made. The time limit is that of
    /// both passes together.
    ///
    /// The result is that of [`statistics`](Self::statistics). It keeps the promises of [`send`](Self::send), but its last bits
    /// may differ.
    ///
    /// # Errors
    /// As [`send`](Self::send). [`Error::Read`] if the tensor cannot be opened twice.
    pub async fn send_in_two_passes<W: AsyncWrite + Unpin>(self, output: W) -> Result<NormalizedStream, Error> {
        let Self { client, dtype, shape, mut origin, len, mut options } = self;
        let header = std::mem::take(&mut options.request);
        let due = answer::Due::of(&header, &shape);
        let streamed = client.streamed().await?;
        let outcome = in_two_passes(streamed, header, (&mut origin, len), Sink::Writer(output)).await?;
        finish(outcome, dtype, &due, options)
    }
}

/// The result, of a call with these options, whose request was sent.
fn finish(outcome: Outcome, dtype: DType, due: &answer::Due, options: Options) -> Result<NormalizedStream, Error> {
    let Outcome { answer, elements: _ } = outcome;
    let pb::NormalizeResponse { axes, mean, rstd, running_mean, running_var, output: _ } = answer;
    let Options { request: _, weight: _, bias: _, running_mean: mean_form, running_var: var_form } = options;
    let (mean, rstd) = match dtype {
        DType::F64 => (due.mean(mean)?.map(Tensor::F64), due.rstd(rstd)?.map(Tensor::F64)),
        DType::F32 | DType::F16 | DType::Bf16 => (due.mean(mean)?.map(Tensor::F32), due.rstd(rstd)?.map(Tensor::F32)),
    };
    Ok(NormalizedStream {
        axes: due.axes(&axes)?,
        mean,
        rstd,
        running_mean: answer::running("running_mean", mean_form, running_mean)?,
        running_var: answer::running("running_var", var_form, running_var)?,
    })
}
