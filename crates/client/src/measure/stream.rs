//! Norms of gradients that are read while they are sent.

use bytes::Bytes;
use evenkeel_proto::v1 as pb;

use crate::{
    Client, DType, Error, GradientSource, NormPartial, Open,
    fault::Fault,
    limits::Streamed,
    stream::{Origin, collected},
};

/// What a message has beside the bytes of a piece, with room to spare.
const OVERHEAD: usize = 64;

/// The longest element: chunks of whole elements are multiples of it.
const LONGEST_ELEMENT: usize = 8;

/// Gradients of any size whose norm is measured while they are read; made by [`Client::measure_gradients_stream`].
#[derive(Debug)]
#[must_use = "nothing is sent before `send()`"]
pub struct MeasureGradientsStream<O> {
    client: Client,
    gradients: Vec<GradientSource<O>>,
    norm_type: Option<f64>,
}

impl Client {
    /// As [`measure_gradients`](Self::measure_gradients), of gradients of any size, which are opened and read while they are sent.
    /// A few chunks are in memory at a time.
    ///
    /// ```
    /// use evenkeel_client::{DType, TensorReader};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = evenkeel::server::Running::start(evenkeel::config::ServerConfig::on_free_port()).await?;
    /// # let client = evenkeel_client::Client::connect(server.url()).await?;
    /// let file: &[u8] = &[0, 0, 0x80, 0x3F].repeat(9); // nine times 1.0; tokio::fs::File is a reader, too
    /// let gradient = TensorReader::new(DType::F32, [9], file);
    /// assert_eq!(client.measure_gradients_stream([("w", gradient)]).send().await?.total_norm(), 3.0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn measure_gradients_stream<O: Open>(
        &self,
        gradients: impl IntoIterator<Item = impl Into<GradientSource<O>>>,
    ) -> MeasureGradientsStream<O> {
        let gradients = gradients.into_iter().map(Into::into).collect();
        MeasureGradientsStream { client: self.clone(), gradients, norm_type: None }
    }
}

impl<O: Open> MeasureGradientsStream<O> {
    /// The order of the norm: 1, 2 or infinity, the orders that merge exactly. Default: 2.
    pub fn norm_type(mut self, norm_type: f64) -> Self {
        self.norm_type = Some(norm_type);
        self
    }

    /// Makes the call.
    ///
    /// # Errors
    /// [`Error::Read`]; [`Error::InvalidArgument`] for another `norm_type`; any [`Error`] that has to do with the connection.
    pub async fn send(self) -> Result<NormPartial, Error> {
        let Self { client, gradients, norm_type } = self;
        let mut origins = Vec::with_capacity(gradients.len());
        let mut forms = Vec::with_capacity(gradients.len());
        for GradientSource { name: _, tensor } in gradients {
            forms.push((tensor.describe().dtype, tensor.byte_len()));
            origins.push(Origin::Open(tensor.into_opener()));
        }
        of_origins(&client.streamed().await?, norm_type, forms.into_iter().zip(&mut origins)).await
    }
}

/// The norm over all gradients, each with its dtype and the bytes of its elements.
pub(crate) async fn of_origins<'a, O: Open + 'a>(
    streamed: &Streamed,
    norm_type: Option<f64>,
    gradients: impl Iterator<Item = ((i32, u64), &'a mut Origin<O>)>,
) -> Result<NormPartial, Error> {
    let (stub, request, requests, call) = collected::<pb::MeasureGradientsRequest>(streamed);
    let requests = requests.with_chunks_of(LONGEST_ELEMENT, OVERHEAD);
    let gradients: Vec<_> = gradients.collect();
    let elements = gradients.iter().fold(0, |sum: u64, ((dtype, len), _)| sum.saturating_add(len / size_of(*dtype)));
    let feed = async move {
        requests.message(pb::MeasureGradientsRequest { norm_type, ..Default::default() }).await;
        for ((dtype, len), origin) in gradients {
            if requests.is_over() {
                return Ok(());
            }
            requests.data(&mut origin.open().await?, len, |bytes| piece(dtype, bytes)).await?;
        }
        requests.complete();
        Ok::<_, Fault>(())
    };
    let take = async move { Ok(stub.measure_gradients(request).await?) };
    NormPartial::from_answer(call.both(feed, take).await?, norm_type, elements)
}

/// The bytes of an element.
fn size_of(dtype: i32) -> u64 {
    DType::from_wire(dtype).expect("this client encoded it").size() as u64
}

/// A message with the next elements of a gradient.
fn piece(dtype: i32, data: Bytes) -> pb::MeasureGradientsRequest {
    let shape = vec![i64::try_from(data.len() as u64 / size_of(dtype)).expect("dimensions fit isize")];
    let gradients = vec![pb::Tensor { dtype, shape, data, ..Default::default() }];
    pb::MeasureGradientsRequest { gradients, ..Default::default() }
}
