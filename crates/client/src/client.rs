//! The client, and what every call has in common.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use ndarray::{CowArray, Dimension};
use tokio::sync::OnceCell;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};

use crate::{
    Builder, ClipInput, Dropout, DropoutBackward, Element, Error, Gradient, MeasureGradients, MeasureStatisticsInput,
    NormalizeBackwardInput, NormalizeInput,
    deadline::{self, Deadline},
    direct::{self, Answer, Method},
    fault::Fault,
    limits::Limits,
    security::LastWords,
};

/// A client of an evenkeel server. Cheap to clone; clones share their connections, and many calls may be under way on
/// each.
///
/// Arrays may be given borrowed, as views, or owned; an owned array in standard layout is not copied. A call copies borrowed
/// arrays when it is built and keeps no borrow, so its future may be moved to another task.
#[derive(Clone, Debug)]
pub struct Client {
    connections: Arc<Connections>,
    max_message_bytes: usize,
    timeout: Option<Duration>,
    /// Marked as sensitive, so that `Debug` does not show it and the compression of headers does not store it.
    authorization: Option<MetadataValue<Ascii>>,
    codec_path: bool,
    retries: u32,
}

#[derive(Debug)]
struct Connections {
    channels: Vec<Channel>,
    last_words: LastWords,
    /// The number of calls so far, which determines the connection of the next.
    calls: AtomicUsize,
    /// The server's limits, once they were needed.
    limits: OnceCell<Limits>,
}

impl Client {
    /// Connects to a URL such as `http://127.0.0.1:50051`, with the default settings.
    ///
    /// # Errors
    /// The errors of [`Builder::connect`].
    pub async fn connect(url: impl Into<String>) -> Result<Self, Error> {
        Self::builder().connect(url).await
    }

    /// Settings for a client: time limits, message sizes, the number of connections, TLS, a token.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The same connections, with another time limit for each call.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use evenkeel_client::{Client, Error};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = evenkeel::server::Running::start(evenkeel::config::ServerConfig::on_free_port()).await?;
    /// # let client = Client::connect(server.url()).await?;
    /// # let x = ndarray::array![1.0_f32];
    /// let answer = client.with_timeout(Duration::ZERO).dropout(&x, 0.1, 7).send().await;
    /// assert!(matches!(answer, Err(Error::DeadlineExceeded { .. })));
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self.clone() }
    }

    /// Normalizes an array. The kind comes next: [`NormalizeInput::kind`].
    ///
    /// ```
    /// use evenkeel_client::NormKind;
    /// use ndarray::array;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = evenkeel::server::Running::start(evenkeel::config::ServerConfig::on_free_port()).await?;
    /// # let client = evenkeel_client::Client::connect(server.url()).await?;
    /// let x = array![[3.0_f32, 5.0], [-2.0, 2.0]];
    /// let y = client.normalize(&x).kind(NormKind::Layer).weight(array![1.0_f32, 10.0]).eps(0.0).send().await?;
    /// assert_eq!(y.output, array![[-1.0, 10.0], [-1.0, 10.0]]);
    ///
    /// let y = client.normalize(&x).kind(NormKind::Batch).return_statistics(true).send().await?;
    /// assert_eq!(y.mean.map(|mean| mean.into_raw_vec_and_offset().0), Some(vec![0.5, 3.5]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn normalize<'a, A: Element, D: Dimension>(
        &self,
        input: impl Into<CowArray<'a, A, D>>,
    ) -> NormalizeInput<A, D> {
        NormalizeInput::new(self.clone(), input.into())
    }

    /// The gradients of a normalization, from the forward call's input and the gradient of its output, which has the
    /// input's shape. The kind comes next: [`NormalizeBackwardInput::kind`].
    ///
    /// ```
    /// use evenkeel_client::NormKind;
    /// use ndarray::{Array1, array};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = evenkeel::server::Running::start(evenkeel::config::ServerConfig::on_free_port()).await?;
    /// # let client = evenkeel_client::Client::connect(server.url()).await?;
    /// let x = array![[3.0_f32, 5.0], [-2.0, 2.0]];
    /// let bias = array![0.0_f32, 0.0];
    /// let grad_output = array![[1.0_f32, 2.0], [3.0, 4.0]];
    /// let gradients = client.normalize_backward(&x, &grad_output).kind(NormKind::Layer).bias(bias).send().await?;
    /// let grad_bias: Array1<f32> = gradients.grad_bias.ok_or("no gradient")?.try_into()?;
    /// assert_eq!(grad_bias, array![4.0, 6.0]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn normalize_backward<'a, 'b, A: Element, D: Dimension>(
        &self,
        input: impl Into<CowArray<'a, A, D>>,
        grad_output: impl Into<CowArray<'b, A, D>>,
    ) -> NormalizeBackwardInput<A, D> {
        NormalizeBackwardInput::new(self.clone(), input.into(), grad_output.into())
    }

    /// Drops elements with probability `p`, which is in [0, 1]; the mask depends on `p`, `seed` and
    /// [`offset`](Dropout::offset) alone.
    ///
    /// ```
    /// use ndarray::Array1;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = evenkeel::server::Running::start(evenkeel::config::ServerConfig::on_free_port()).await?;
    /// # let client = evenkeel_client::Client::connect(server.url()).await?;
    /// let x = Array1::<f32>::ones(8);
    /// let dropped = client.dropout(&x, 0.5, 42).send().await?;
    /// // np.random.Philox(key=42).random_raw(4).view('<u4') >= np.uint64(2**31)
    /// assert_eq!(dropped.output.to_vec(), [0.0, 2.0, 0.0, 0.0, 2.0, 2.0, 0.0, 0.0]);
    /// assert_eq!(dropped.kept, 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn dropout<'a, A: Element, D: Dimension>(
        &self,
        input: impl Into<CowArray<'a, A, D>>,
        p: f64,
        seed: u64,
    ) -> Dropout<A, D> {
        Dropout::new(self.clone(), input.into(), p, seed)
    }

    /// The gradient of a dropout's input, from the forward call's `p` and `seed` and the gradient of its output.
    ///
    /// ```
    /// use ndarray::array;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = evenkeel::server::Running::start(evenkeel::config::ServerConfig::on_free_port()).await?;
    /// # let client = evenkeel_client::Client::connect(server.url()).await?;
    /// let grad_output = array![1.0_f64, 2.0, 3.0, 4.0, 5.0];
    /// let grad_input = client.dropout_backward(&grad_output, 0.5, 42).send().await?;
    /// assert_eq!(grad_input, array![0.0, 4.0, 0.0, 0.0, 10.0]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn dropout_backward<'a, A: Element, D: Dimension>(
        &self,
        grad_output: impl Into<CowArray<'a, A, D>>,
        p: f64,
        seed: u64,
    ) -> DropoutBackward<A, D> {
        DropoutBackward::new(self.clone(), grad_output.into(), p, seed)
    }

    /// Clips gradients, of any types and shapes, each under a name. The mode comes next: [`ClipInput::by_norm`],
    /// [`ClipInput::by_value`], [`ClipInput::by_norm_per_tensor`].
    ///
    /// ```
    /// use evenkeel_client::{Tensor, half::bf16};
    /// use ndarray::{Array1, array};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = evenkeel::server::Running::start(evenkeel::config::ServerConfig::on_free_port()).await?;
    /// # let client = evenkeel_client::Client::connect(server.url()).await?;
    /// let weight = Tensor::from(array![[3.0_f32, 0.0], [0.0, 0.0]]);
    /// let bias = Tensor::from(array![bf16::from_f32(4.0)]);
    /// let clipped = client.clip_gradients([("weight", weight), ("bias", bias)]).by_norm(1.0).send().await?;
    /// assert_eq!(clipped.total_norm, 5.0);
    /// assert_eq!(clipped.gradients[1].name, "bias");
    /// # Ok(())
    /// # }
    /// ```
    pub fn clip_gradients(&self, gradients: impl IntoIterator<Item = impl Into<Gradient>>) -> ClipInput {
        ClipInput::new(self.clone(), gradients.into_iter().map(Into::into))
    }

    /// Measures the norm of gradients, of any types and shapes, in a form that merges with that of others: for gradients
    /// that live on several machines, and are to be clipped by the norm of all. Names are ignored.
    ///
    /// ```
    /// use ndarray::array;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = evenkeel::server::Running::start(evenkeel::config::ServerConfig::on_free_port()).await?;
    /// # let here = evenkeel_client::Client::connect(server.url()).await?;
    /// # let there = here.clone();
    /// let mut norm = here.measure_gradients([("weight", array![3.0_f32])]).send().await?;
    /// norm.merge(&there.measure_gradients([("weight", array![4.0_f32])]).send().await?)?;
    /// assert_eq!(norm.total_norm(), 5.0);
    ///
    /// let part = [("weight", array![3.0_f32])];
    /// let clipped = here.clip_gradients(part).by_norm(1.0).total_norm(norm.total_norm()).send().await?;
    /// assert_eq!((clipped.total_norm, clipped.scale), (5.0, 1.0 / (5.0 + 1e-6)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn measure_gradients(&self, gradients: impl IntoIterator<Item = impl Into<Gradient>>) -> MeasureGradients {
        MeasureGradients::new(self.clone(), gradients.into_iter().map(Into::into))
    }

    /// Measures the statistics of an array in a form that merges with those of others: for a tensor that is cut over several
    /// machines, and is to be normalized as one. The kind comes next: [`MeasureStatisticsInput::kind`].
    ///
    /// ```
    /// use evenkeel_client::NormKind;
    /// use ndarray::array;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = evenkeel::server::Running::start(evenkeel::config::ServerConfig::on_free_port()).await?;
    /// # let here = evenkeel_client::Client::connect(server.url()).await?;
    /// # let there = here.clone();
    /// let (x, others) = (array![[1.0_f32], [2.0]], array![[3.0_f32], [6.0]]);
    /// let mut statistics = here.measure_statistics(&x).kind(NormKind::Batch).send().await?;
    /// statistics.merge(&there.measure_statistics(&others).kind(NormKind::Batch).send().await?)?;
    ///
    /// let y = here.normalize(&x).kind(NormKind::Batch).statistics(&statistics).return_statistics(true).send().await?;
    /// assert_eq!(y.mean.map(|mean| mean[0]), Some(3.0)); // of all four
    /// # Ok(())
    /// # }
    /// ```
    pub fn measure_statistics<'a, A: Element, D: Dimension>(
        &self,
        input: impl Into<CowArray<'a, A, D>>,
    ) -> MeasureStatisticsInput {
        MeasureStatisticsInput::new(self.clone(), input.into())
    }

    /// The connection of the next call, and a request with the client's time limit and token, for the generated client of another
    /// service of the server, such as health.
    ///
    /// ```
    /// use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = evenkeel::server::Running::start(evenkeel::config::ServerConfig::on_free_port()).await?;
    /// # let client = evenkeel_client::Client::connect(server.url()).await?;
    /// let (channel, request) = client.request(HealthCheckRequest::default());
    /// let answer = HealthClient::new(channel).check(request).await?.into_inner();
    /// assert_eq!(answer.status(), ServingStatus::Serving);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// On the client's side the time limit of such a call ends when its response begins: set another limit for reading a longer
    /// response. [`explain`](Self::explain) turns a status of such a call into an [`Error`].
    pub fn request<M>(&self, message: M) -> (Channel, Request<M>) {
        let Connections { channels, last_words: _, calls, limits: _ } = &*self.connections;
        let channel = channels[calls.fetch_add(1, Ordering::Relaxed) % channels.len()].clone();
        let mut request = Request::new(message);
        if let Some(timeout) = self.timeout {
            request.set_timeout(deadline::bounded(timeout));
        }
        if let Some(authorization) = &self.authorization {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        (channel, request)
    }

    /// The error that a status means, of a call whose connection is from [`request`](Self::request). If the connection broke, the
    /// error says why.
    pub fn explain(&self, status: Status) -> Error {
        self.error(status, Deadline::after(None))
    }

    pub(crate) fn new(
        channels: Vec<Channel>,
        last_words: LastWords,
        max_message_bytes: usize,
        timeout: Option<Duration>,
        authorization: Option<MetadataValue<Ascii>>,
        codec_path: bool,
        retries: u32,
    ) -> Self {
        let connections = Connections { channels, last_words, calls: AtomicUsize::new(0), limits: OnceCell::new() };
        Self { connections: Arc::new(connections), max_message_bytes, timeout, authorization, codec_path, retries }
    }

    /// Sends one message and waits for the one message of the response.
    pub(crate) async fn unary<M: Method>(&self, message: M) -> Result<Answer<M::Answer>, Error> {
        let (size, limit) = (message.encoded_len(), self.max_message_bytes);
        if size > limit {
            let message = format!("the request of {size} bytes is larger than this client's limit of {limit} bytes");
            return Err(Error::TooLarge { message });
        }
        let (channel, request) = self.request(message);
        let deadline = Deadline::after(self.timeout);
        let answer = if self.codec_path {
            deadline.end(direct::by_codec(channel, limit, request)).await
        } else {
            deadline.end(direct::unary(channel, limit, request)).await
        };
        answer.map_err(|status| self.error(status, deadline))
    }

    pub(crate) fn error(&self, status: Status, deadline: Deadline) -> Error {
        Error::from_status(status, deadline, self.connections.last_words.get())
    }

    /// What something comes to by a deadline.
    pub(crate) async fn by<T>(
        &self,
        deadline: Deadline,
        call: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Error> {
        deadline.end(call).await.map_err(|fault| match fault {
            Fault::Status(status) => self.error(status, deadline),
            Fault::Error(error) => *error,
        })
    }

    /// How often a call may be made again.
    pub(crate) fn retries(&self) -> u32 {
        self.retries
    }

    pub(crate) fn max_message_bytes(&self) -> usize {
        self.max_message_bytes
    }

    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// The same client, with what is left of its time limit for something that began then.
    pub(crate) fn since(&self, began: Instant) -> Self {
        match self.timeout {
            Some(timeout) => self.with_timeout(timeout.saturating_sub(began.elapsed())),
            None => self.clone(),
        }
    }

    /// Where the limits of the server are kept, for all clones.
    pub(crate) fn limits(&self) -> &OnceCell<Limits> {
        &self.connections.limits
    }
}
