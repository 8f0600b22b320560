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
        let elements = elements_of(&gradients);
        let answer = client.retrying(|client| {
            let gradients = gradients.clone();
            async move {
                let (client, limit) = client.with_message_limit(bytes).await?;
                let messages = Pieces::new(gradients, norm_type, limit);
                let (stub, call, request) = client.collect(tokio_stream::iter(messages));
                call.end(stub.measure_gradients(request)).await
            }
        });
        NormPartial::from_answer(answer.await?, norm_type, elements)
    }
}

impl NormPartial {
    /// The norm in an answer, which must be of this order (default: 2) and of so many elements.
    pub(crate) fn from_answer(
        answer: pb::MeasureGradientsResponse,
        norm_type: Option<f64>,
        elements: u64,
    ) -> Result<Self, Error> {
        let pb::MeasureGradientsResponse { partial, total_norm } = answer;
        let partial = partial.ok_or_else(|| Error::protocol("partial", "is missing"))?;
        let norm = Self::from_wire(partial)
            .map_err(|error| Error::protocol(format!("partial.{}", error.field()), error.to_string()))?;
        let (order, due) = (norm_type.unwrap_or(2.0), norm.total_norm());
        if norm.norm_type().total_cmp(&order).is_ne() {
            return Err(Error::protocol("partial.norm_type", format!("is {} where {order} is due", norm.norm_type())));
        }
        if norm.elements() != elements {
            let reason = format!("is {} where {elements} were sent", norm.elements());
            return Err(Error::protocol("partial.elements", reason));
        }
        if !(total_norm.is_nan() && due.is_nan()) && total_norm.total_cmp(&due).is_ne() {
            return Err(Error::protocol("total_norm", format!("is {total_norm} where the partial's is {due}")));
        }
        Ok(norm)
    }
}

/// How many elements gradients have.
pub(crate) fn elements_of(gradients: &[pb::Tensor]) -> u64 {
    let product = |shape: &[i64]| shape.iter().fold(1_u64, |product, &dim| product.saturating_mul(dim.unsigned_abs()));
    gradients.iter().fold(0, |sum, gradient| sum.saturating_add(product(&gradient.shape)))
}
