//! ClipGradientsStream, with gradients that are read and written on the way.

use std::{future::Ready, io};

use evenkeel_proto::v1 as pb;
use tokio::io::AsyncWrite;

use super::{
    exchange::{Described, Gradients, exchange},
    options::setters,
    passes,
    sinks::Sinks,
};
use crate::{Client, Error, GradientSource, NormPartial, Open, stream::Origin};

/// Gradients that are read while they are sent; made by [`Client::clip_gradients_stream`].
#[derive(Debug)]
#[must_use = "nothing is sent before `by_…(…).send(…)`"]
pub struct ClipStreamInput<O> {
    client: Client,
    gradients: Vec<GradientSource<O>>,
}

/// A clipping of gradients that are read while they are sent.
#[must_use = "nothing is sent before `send(…)`"]
pub struct ClipGradientsStream<O> {
    client: Client,
    gradients: Gradients<O>,
    /// It has no gradients.
    request: pb::ClipGradientsRequest,
}

/// What is known of a [`ClipGradientsStream`] at its end. The fields are those of [`Clipped`](crate::Clipped).
#[derive(Clone, Debug, PartialEq)]
pub struct ClippedStream {
    /// The norm over all gradients before clipping, or the one that was given.
    pub total_norm: f64,
    /// The factor that was applied. By value: 1. By each tensor's norm: the smallest of any tensor.
    pub scale: f64,
    /// By value: how many elements were outside the threshold.
    pub clipped_elements: u64,
    /// By each tensor's norm: the norms before clipping, in the order given. Empty for the others.
    pub tensor_norms: Vec<f64>,
}

/// For a call whose results go to one writer.
type NoWriters<W> = fn(usize) -> Ready<io::Result<W>>;

impl Client {
    /// As [`clip_gradients`](Self::clip_gradients), of gradients of any size and number: each is opened when its turn comes, its
    /// elements are read while they are sent, and the result is written while it arrives. A few chunks are in memory at a time.
    /// The mode comes next: [`ClipStreamInput::by_norm`], [`ClipStreamInput::by_value`], [`ClipStreamInput::by_norm_per_tensor`].
    ///
    /// All gradients of a call are of one kind of source. [`TensorSource::new`](crate::TensorSource::new) with a closure that
    /// returns a [`BoxReader`](crate::BoxReader) makes different ones alike.
    ///
    /// ```
    /// use evenkeel_client::{DType, TensorSource};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = evenkeel::server::Running::start(evenkeel::config::ServerConfig::on_free_port()).await?;
    /// # let client = evenkeel_client::Client::connect(server.url()).await?;
    /// let file: &[u8] = &[0, 0, 0x80, 0x3F].repeat(16); // sixteen times 1.0; or open a tokio::fs::File
    /// let gradients = || [("w", TensorSource::new(DType::F32, [4, 4], || async move { Ok(file) }))];
    ///
    /// // The norm is known only after the last element: the server holds all of them, or they are read twice.
    /// let mut output = Vec::new();
    /// let clipped = client.clip_gradients_stream(gradients()).by_norm(2.0).epsilon(0.0).send_in_two_passes(&mut output).await?;
    /// assert_eq!((clipped.total_norm, clipped.scale), (4.0, 0.5));
    /// assert_eq!(output, [0, 0, 0, 0x3F].repeat(16));
    ///
    /// let mut files = vec![Vec::new()]; // one writer for each gradient
    /// let mut writers = files.iter_mut();
    /// let open = |_index| std::future::ready(writers.next().ok_or(std::io::ErrorKind::NotFound.into()));
    /// client.clip_gradients_stream(gradients()).by_value(0.5).send_each(open).await?;
    /// assert_eq!(files, [output]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn clip_gradients_stream<O: Open>(
        &self,
        gradients: impl IntoIterator<Item = impl Into<GradientSource<O>>>,
    ) -> ClipStreamInput<O> {
        ClipStreamInput { client: self.clone(), gradients: gradients.into_iter().map(Into::into).collect() }
    }
}

impl<O: Open> ClipStreamInput<O> {
    /// Scales all gradients by one factor, so that the norm over all of them is at most `max_norm`: see
    /// [`ClipInput::by_norm`](crate::ClipInput::by_norm). In one pass the server holds all gradients, except where the norm is
    /// given by [`total_norm`](ClipGradientsStream::total_norm).
    pub fn by_norm(self, max_norm: f64) -> ClipGradientsStream<O> {
        self.mode(pb::ClipMode::Norm, max_norm)
    }

    /// Clamps every element to `[-max_value, max_value]`; NaN stays NaN. The server holds a chunk.
    pub fn by_value(self, max_value: f64) -> ClipGradientsStream<O> {
        self.mode(pb::ClipMode::Value, max_value)
    }

    /// Scales each gradient so that its own norm is at most `max_norm`. In one pass the server holds a gradient.
    pub fn by_norm_per_tensor(self, max_norm: f64) -> ClipGradientsStream<O> {
        self.mode(pb::ClipMode::NormPerTensor, max_norm)
    }

    fn mode(self, mode: pb::ClipMode, threshold: f64) -> ClipGradientsStream<O> {
        let Self { client, gradients } = self;
        let request = pb::ClipGradientsRequest { mode: mode.into(), threshold: Some(threshold), ..Default::default() };
        let (described, origins) = gradients
            .into_iter()
            .map(|GradientSource { name, tensor: source }| {
                let tensor = pb::Tensor { name, ..source.describe() };
                (Described { tensor, len: source.byte_len() }, Origin::Open(source.into_opener()))
            })
            .unzip();
        ClipGradientsStream { client, gradients: Gradients { described, origins }, request }
    }
}

setters!([O] ClipGradientsStream<O>);

impl<O: Open> ClipGradientsStream<O> {
    /// Measures the norm of these gradients, of the order that is set, in the form that merges: the first of two passes by hand,
    /// for gradients on several servers. Merge the partials of all, and give the norm to [`total_norm`](Self::total_norm) of each
    /// part's call: every part gets the bytes that one server would give for all of them.
    ///
    /// # Errors
    /// [`Error::Read`]; [`Error::InvalidArgument`] for an order other than 1, 2 and infinity; any [`Error`] that has to do with the
    /// connection.
    pub async fn measure(&mut self) -> Result<NormPartial, Error> {
        let Gradients { described, origins } = &mut self.gradients;
        passes::measure(&self.client.clone().streamed().await?, &self.request, described, origins).await
    }

    /// Makes the call in one pass, and writes the clipped gradients one after the other: of each as many bytes as were sent,
    /// little-endian, row-major. The writer is flushed after each. An error leaves a part of the result there.
    ///
    /// # Errors
    /// [`Error::NeedsTwoPasses`] if the server would have to hold more than it has memory for; [`Error::Read`], [`Error::Write`];
    /// [`Error::InvalidArgument`] for options that do not fit, [`Error::NonFiniteNorm`] at the end; any [`Error`] that has to do
    /// with the connection.
    pub async fn send<W: AsyncWrite + Unpin>(self, output: W) -> Result<ClippedStream, Error> {
        self.once::<_, NoWriters<W>, _>(Sinks::Together(Some(output))).await
    }

    /// The same with a writer for each gradient: `open` makes it from the gradient's index, when its first bytes have come. An
    /// error of it is an [`Error::Write`].
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_each<W, F, N>(self, open: F) -> Result<ClippedStream, Error>
    where
        W: AsyncWrite + Unpin,
        F: FnMut(usize) -> N,
        N: Future<Output = io::Result<W>>,
    {
        self.once(Sinks::Each(open)).await
    }

    /// As [`send`](Self::send), in constant memory of the server: where a norm decides that is not given, the gradients are read
    /// twice, to be measured and to be clipped. The result is the same, to the last bit. The time limit is that of both passes
    /// together.
    ///
    /// One pass is made by value, and where [`total_norm`](Self::total_norm) is given. So it is for an order other than 1, 2 and
    /// infinity, and for [`not_above`](Self::not_above), for which no norm can be given.
    ///
    /// # Errors
    /// As [`send`](Self::send). [`Error::Read`] if a gradient cannot be opened twice.
    pub async fn send_in_two_passes<W: AsyncWrite + Unpin>(self, output: W) -> Result<ClippedStream, Error> {
        self.twice::<_, NoWriters<W>, _>(Sinks::Together(Some(output))).await
    }

    /// The same with a writer for each gradient, as in [`send_each`](Self::send_each).
    ///
    /// # Errors
    /// As [`send_in_two_passes`](Self::send_in_two_passes).
    pub async fn send_each_in_two_passes<W, F, N>(self, open: F) -> Result<ClippedStream, Error>
    where
        W: AsyncWrite + Unpin,
        F: FnMut(usize) -> N,
        N: Future<Output = io::Result<W>>,
    {
        self.twice(Sinks::Each(open)).await
    }

    async fn once<W, F, N>(self, mut sinks: Sinks<W, F>) -> Result<ClippedStream, Error>
    where
        W: AsyncWrite + Unpin,
        F: FnMut(usize) -> N,
        N: Future<Output = io::Result<W>>,
    {
        let Self { client, gradients: Gradients { described, mut origins }, request } = self;
        let gradients = (0, &described[..], &mut origins[..]);
        exchange(&client.streamed().await?, request, gradients, &mut sinks).await.map(ClippedStream::from)
    }

    async fn twice<W, F, N>(self, mut sinks: Sinks<W, F>) -> Result<ClippedStream, Error>
    where
        W: AsyncWrite + Unpin,
        F: FnMut(usize) -> N,
        N: Future<Output = io::Result<W>>,
    {
        let Self { client, mut gradients, request } = self;
        passes::clip(client.streamed().await?, request, &mut gradients, &mut sinks).await.map(ClippedStream::from)
    }
}

impl From<pb::ClipGradientsResponse> for ClippedStream {
    fn from(summary: pb::ClipGradientsResponse) -> Self {
        let pb::ClipGradientsResponse { total_norm, scale, clipped_elements, tensor_norms, gradients: _ } = summary;
        Self { total_norm, scale, clipped_elements, tensor_norms }
    }
}
