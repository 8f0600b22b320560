//! MeasureGradients.

mod partial;
mod pieces;
mod stream;

use evenkeel_proto::v1 as pb;

pub use self::partial::{InvalidNormPartial, MergeError, NormPartial};
use self::pieces::Pieces;
pub use self::stream::MeasureGradientsStream;
pub(crate) use self::stream::of_origins;
use crate::{Client, Error, Gradient, codec};

/// Gradients whose norm is measured; made by [`Client::measure_gradients`].
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `send()`"]
pub struct MeasureGradients {
    client: Client,
    gradients: Vec<pb::Tensor>,
    norm_type: Option<f64>,
}

impl MeasureGradients {
    pub(crate) fn new(client: Client, gradients: impl Iterator<Item = Gradient>) -> Self {
        let gradients = gradients.map(|Gradient { name: _, tensor }| codec::encode_tensor(tensor)).collect();
        Self { client, gradients, norm_type: None }
    }

    /// The order of the norm: 1, 2 or infinity, the orders that merge exactly. Default: 2.
    pub fn norm_type(mut self, norm_type: f64) -> Self {
        self.norm_type = Some(norm_type);
        self
    }

    /// Makes the call. It sends gradients of any size, in pieces that fit a message.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for another `norm_type`; any [`Error`] that has to do with the connection.
    pub async fn send(self) -> Result<NormPartial, Error> {
        let Self { client, gradients, norm_type } = self;
        let bytes = gradients.iter().fold(0, |sum: usize, gradient| sum.saturating_add(gradient.data.len()));
        let answer = client.retrying(|client| {
            let gradients = gradients.clone();
            async move {
                let (client, limit) = client.with_message_limit(bytes).await?;
                let messages = Pieces::new(gradients, norm_type, limit);
                let (mut stub, call, request) = client.stream(tokio_stream::iter(messages));
                call.end(stub.measure_gradients(request)).await
            }
        });
        NormPartial::from_answer(answer.await?.into_inner())
    }
}

impl NormPartial {
    pub(crate) fn from_answer(answer: pb::MeasureGradientsResponse) -> Result<Self, Error> {
        let pb::MeasureGradientsResponse { partial, total_norm: _ } = answer;
        let partial = partial.ok_or_else(|| Error::protocol("partial", "is missing"))?;
        Self::from_wire(partial)
            .map_err(|error| Error::protocol(format!("partial.{}", error.field()), error.to_string()))
    }
}
