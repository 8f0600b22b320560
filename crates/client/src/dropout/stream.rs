//! DropoutStream, with elements that are read and written on the way.

use ndarray::ArrayD;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    exchange::{self, Header, Outcome},
    mask,
    options::{DropoutKind, DropoutScaling, Options, mask_len, return_mask, setters},
};
use crate::{
    Client, Error, TensorReader,
    stream::{Sink, Source},
};

/// A dropout of elements that are read while they are sent; made by [`Client::dropout_stream`].
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `send()`"]
pub struct DropoutStream<R> {
    client: Client,
    options: Options,
    return_mask: bool,
    input: TensorReader<R>,
}

/// What is known of a [`DropoutStream`] at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedStream {
    /// How many elements were kept.
    pub kept: u64,
    /// If [`return_mask`](DropoutStream::return_mask): true where an element was kept, as in
    /// [`Dropped::mask`](crate::Dropped::mask).
    pub mask: Option<ArrayD<bool>>,
}

/// The gradient of a dropout, with elements that are read while they are sent; made by
/// [`Client::dropout_backward_stream`]. The options are those of the forward call.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `send()`"]
pub struct DropoutBackwardStream<R> {
    client: Client,
    options: Options,
    grad_output: TensorReader<R>,
}

impl Client {
    /// As [`dropout`](Self::dropout), of a tensor of any size: its elements are read from a file, or another reader, while they
    /// are sent, and the result is written while it arrives. A few chunks are in memory at a time. Arrays and views are not
    /// copied, whatever their layout.
    ///
    /// ```
    /// use evenkeel_client::{DType, TensorReader};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = evenkeel::server::Running::start(evenkeel::config::ServerConfig::on_free_port()).await?;
    /// # let client = evenkeel_client::Client::connect(server.url()).await?;
    /// let file: &[u8] = &[0, 0, 0x80, 0x3F].repeat(8); // eight times 1.0; tokio::fs::File is a reader, too
    /// let mut output = Vec::new();
    /// let input = TensorReader::new(DType::F32, [2, 4], file);
    /// let dropped = client.dropout_stream(input, 0.5, 42).send(&mut output).await?;
    /// assert_eq!((dropped.kept, output.len()), (3, 32));
    ///
    /// let x = ndarray::Array2::<f32>::ones((4, 2));
    /// client.dropout_stream(x.t(), 0.5, 42).send(&mut output).await?;
    /// assert_eq!(output[..32], output[32..]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn dropout_stream<R: AsyncRead + Unpin>(
        &self,
        input: impl Into<TensorReader<R>>,
        p: f64,
        seed: u64,
    ) -> DropoutStream<R> {
        DropoutStream::new(self.clone(), input.into(), p, seed)
    }

    /// As [`dropout_backward`](Self::dropout_backward), of a tensor of any size; see [`dropout_stream`](Self::dropout_stream).
    pub fn dropout_backward_stream<R: AsyncRead + Unpin>(
        &self,
        grad_output: impl Into<TensorReader<R>>,
        p: f64,
        seed: u64,
    ) -> DropoutBackwardStream<R> {
        DropoutBackwardStream::new(self.clone(), grad_output.into(), p, seed)
    }
}

setters!([R] DropoutStream<R>);
setters!([R] DropoutBackwardStream<R>);
return_mask!([R] DropoutStream<R>);

impl<R: AsyncRead + Unpin> DropoutStream<R> {
    pub(crate) fn new(client: Client, input: TensorReader<R>, p: f64, seed: u64) -> Self {
        Self { client, options: Options::new(p, seed), return_mask: false, input }
    }

    /// Makes the call, and writes the elements of the result: as many bytes as those of the input, little-endian, row-major.
    /// The writer is flushed at the end. An error leaves a part of the result there.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Write`]; [`Error::InvalidArgument`] for options that do not fit; any [`Error`] that has to do
    /// with the connection.
    pub async fn send<W: AsyncWrite + Unpin>(self, output: W) -> Result<DroppedStream, Error> {
        let draws = self.return_mask.then(|| self.options.draws(self.input.shape()));
        let mut bits = Vec::new();
        let kept = self.exchange(output, &mut bits).await?;
        let mask = draws.map(|draws| mask::decode(&bits, &draws)).transpose()?;
        Ok(DroppedStream { kept, mask })
    }

    /// The same with the mask written too, one bit for every draw, least significant bit first; `mask` of the result is
    /// `None`.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_with_mask<W, M>(self, output: W, mask: M) -> Result<DroppedStream, Error>
    where
        W: AsyncWrite + Unpin,
        M: AsyncWrite + Unpin,
    {
        let kept = self.return_mask(true).exchange(output, mask).await?;
        Ok(DroppedStream { kept, mask: None })
    }

    async fn exchange<W, M>(self, output: W, mask: M) -> Result<u64, Error>
    where
        W: AsyncWrite + Unpin,
        M: AsyncWrite + Unpin,
    {
        let Self { client, options, return_mask, input } = self;
        let mask_len = if return_mask { mask_len(&options.draws(input.shape())) } else { 0 };
        let header = Header::Forward(options.forward(return_mask, input.describe()));
        let len = input.byte_len();
        let source = (Source::Reader(input.into_reader()), len);
        let (output, mask) = (Sink::Writer(output), (mask, mask_len));
        let Outcome { kept, elements: _ } =
            exchange::exchange(&client.streamed().await?, header, source, output, mask).await?;
        Ok(kept)
    }
}

impl<R: AsyncRead + Unpin> DropoutBackwardStream<R> {
    pub(crate) fn new(client: Client, grad_output: TensorReader<R>, p: f64, seed: u64) -> Self {
        Self { client, options: Options::new(p, seed), grad_output }
    }

    /// Makes the call, and writes the gradient of the input as [`DropoutStream::send`] does its result.
    ///
    /// # Errors
    /// As [`DropoutStream::send`].
    pub async fn send<W: AsyncWrite + Unpin>(self, grad_input: W) -> Result<(), Error> {
        let Self { client, options, grad_output } = self;
        let header = Header::Backward(options.backward(grad_output.describe()));
        let len = grad_output.byte_len();
        let source = (Source::Reader(grad_output.into_reader()), len);
        let (output, mask) = (Sink::Writer(grad_input), (tokio::io::sink(), 0));
        exchange::exchange(&client.streamed().await?, header, source, output, mask).await.map(drop)
    }
}
