//! NormalizeBackward.

use evenkeel_proto::v1 as pb;
use ndarray::{Array, CowArray, Dimension};
use prost::Message as _;

use super::{
    NormKind,
    options::{Options, setters},
};
use crate::{
    Client, Element, Error, StatisticsPartial, Tensor, codec,
    codec::Received,
    direct::Answer,
    limits::{Route, Streamed},
};

/// The input of a normalization and the gradient of its output; made by [`Client::normalize_backward`].
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `kind(…).send()`"]
pub struct NormalizeBackwardInput<A, D> {
    client: Client,
    input: pb::Tensor,
    grad_output: pb::Tensor,
    dim: D,
    element: std::marker::PhantomData<A>,
}

/// The gradients of a normalization, ready to [`send`](Self::send). The options are those of the forward call.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `send()`"]
pub struct NormalizeBackward<A, D> {
    input: NormalizeBackwardInput<A, D>,
    options: Options,
}

/// The result of a [`NormalizeBackward`].
#[derive(Clone, Debug, PartialEq)]
pub struct NormalizeGradients<A: Element, D: Dimension> {
    /// The gradient of the input, in standard layout.
    pub grad_input: Array<A, D>,
    /// The gradient of the weight, in its shape and type, if a weight was given.
    pub grad_weight: Option<Tensor>,
    /// The gradient of the bias, in its shape and type, if a bias was given.
    pub grad_bias: Option<Tensor>,
}

impl<A: Element, D: Dimension> NormalizeBackwardInput<A, D> {
    pub(crate) fn new(client: Client, input: CowArray<'_, A, D>, grad_output: CowArray<'_, A, D>) -> Self {
        let dim = input.raw_dim();
        let (input, grad_output) = (codec::encode(input), codec::encode(grad_output));
        Self { client, input, grad_output, dim, element: std::marker::PhantomData }
    }

    /// The kind of normalization.
    pub fn kind(self, kind: NormKind) -> NormalizeBackward<A, D> {
        NormalizeBackward { input: self, options: Options::new(kind) }
    }
}

setters!([A: Element, D: Dimension] NormalizeBackward<A, D>);

impl<A: Element, D: Dimension> NormalizeBackward<A, D> {
    /// Makes the call. Input and gradient together must fit in a message of the server: there is no stream for larger ones. Parts of
    /// them do, with [`statistics`](Self::statistics) of the whole.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for options that do not fit; [`Error::TooLarge`]; any [`Error`] that has to do with the connection.
    pub async fn send(self) -> Result<NormalizeGradients<A, D>, Error> {
        let Self { input: NormalizeBackwardInput { client, input, grad_output, dim, element: _ }, options } = self;
        let Options { request, weight: weight_form, bias: bias_form, running_mean: _, running_var: _ } = options;
        let pb::NormalizeRequest {
            kind,
            axes,
            groups,
            eps,
            channel_axis,
            training,
            momentum,
            return_statistics,
            statistics,
            weight,
            bias,
            running_mean,
            running_var,
            input: _, // comes last
        } = request;
        let request = pb::NormalizeBackwardRequest {
            kind,
            axes,
            groups,
            eps,
            channel_axis,
            training,
            momentum,
            return_statistics,
            statistics,
            weight,
            bias,
            running_mean,
            running_var,
            input: Some(input),
            grad_output: Some(grad_output),
        };
        let size = request.encoded_len();
        let answer = client.retrying(|client| {
            let request = request.clone();
            async move {
                match client.route(size).await? {
                    Route::Unary(client) => client.unary(request).await,
                    Route::Stream(Streamed { max_message_bytes, .. }) => {
                        let message = format!(
                            "the request of {size} bytes is larger than the server's limit of {max_message_bytes} bytes, and \
                             gradients of a normalization have no stream"
                        );
                        Err(Error::TooLarge { message })
                    }
                }
            }
        });
        let Answer { message, landed } = answer.await?;
        let pb::NormalizeBackwardResponse { grad_weight, grad_bias, grad_input } = message;
        let grad_input = grad_input.map(|tensor| Received { tensor, landed });
        Ok(NormalizeGradients {
            grad_input: codec::decode("grad_input", grad_input, &dim)?,
            grad_weight: weight_form.map(|form| form.decode("grad_weight", grad_weight)).transpose()?,
            grad_bias: bias_form.map(|form| form.decode("grad_bias", grad_bias)).transpose()?,
        })
    }
}
