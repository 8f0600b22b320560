//! Dropout and DropoutBackward.

mod exchange;
mod mask;
mod options;
mod stream;

use std::marker::PhantomData;

use evenkeel_proto::v1 as pb;
use ndarray::{Array, ArrayD, CowArray, Dimension};
use prost::Message as _;

use self::{
    exchange::Header,
    options::{Options, return_mask, setters},
};
pub use self::{
    options::{DropoutKind, DropoutScaling},
    stream::{DropoutBackwardStream, DropoutStream, DroppedStream},
};
use crate::{Client, Element, Error, codec, codec::Received, direct::Answer, limits::Route};

/// A dropout that is ready to [`send`](Self::send); made by [`Client::dropout`].
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `send()`"]
pub struct Dropout<A, D> {
    client: Client,
    options: Options,
    return_mask: bool,
    input: pb::Tensor,
    dim: D,
    element: PhantomData<A>,
}

/// The result of a [`Dropout`].
#[derive(Clone, Debug, PartialEq)]
pub struct Dropped<A: Element, D: Dimension> {
    /// The array after dropout, in standard layout.
    pub output: Array<A, D>,
    /// How many of its elements were kept.
    pub kept: u64,
    /// True where an element was kept, if [`return_mask`](Dropout::return_mask) is set. The shape is that of the input, or (N, C)
    /// for [`DropoutKind::Channel`] and [`DropoutKind::FeatureAlpha`].
    pub mask: Option<ArrayD<bool>>,
}

/// The gradient of a dropout, ready to [`send`](Self::send); made by [`Client::dropout_backward`]. The options are
/// those of the forward call.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `send()`"]
pub struct DropoutBackward<A, D> {
    client: Client,
    options: Options,
    grad_output: pb::Tensor,
    dim: D,
    element: PhantomData<A>,
}

setters!([A: Element, D: Dimension] Dropout<A, D>);
setters!([A: Element, D: Dimension] DropoutBackward<A, D>);
return_mask!([A: Element, D: Dimension] Dropout<A, D>);

impl<A: Element, D: Dimension> Dropout<A, D> {
    pub(crate) fn new(client: Client, input: CowArray<'_, A, D>, p: f64, seed: u64) -> Self {
        let (dim, options) = (input.raw_dim(), Options::new(p, seed));
        Self { client, options, return_mask: false, input: codec::encode(input), dim, element: PhantomData }
    }

    /// Makes the call.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for options that do not fit; any [`Error`] that has to do with the connection.
    pub async fn send(self) -> Result<Dropped<A, D>, Error> {
        let Self { client, options, return_mask, input, dim, element: _ } = self;
        let draws = options.draws(dim.slice());
        let mask_len = if return_mask { options::mask_len(&draws) } else { 0 };
        let request = options.forward(return_mask, input);
        // The response has the mask beside the elements.
        let message_len = request.encoded_len().saturating_add(usize::try_from(mask_len).unwrap_or(usize::MAX));
        let answer = client.retrying(|client| {
            let request = request.clone();
            async move {
                Ok(match client.route(message_len).await? {
                    Route::Unary(client) => {
                        let Answer { message: pb::DropoutResponse { kept, mask, output }, landed } =
                            client.unary(request).await?;
                        (output.map(|tensor| Received { tensor, landed }), kept, mask)
                    }
                    Route::Stream(streamed) => {
                        let (output, kept, mask) =
                            Box::pin(exchange::in_memory::<A>(&streamed, Header::Forward(request), mask_len)).await?;
                        (Some(output), kept, mask.into())
                    }
                })
            }
        });
        let (output, kept, mask) = answer.await?;
        let mask = return_mask.then(|| mask::decode(&mask, &draws)).transpose()?;
        if kept > dim.size() as u64 {
            return Err(Error::protocol("kept", format!("is {kept} of {} elements", dim.size())));
        }
        Ok(Dropped { output: codec::decode("output", output, &dim)?, kept, mask })
    }
}

impl<A: Element, D: Dimension> DropoutBackward<A, D> {
    pub(crate) fn new(client: Client, grad_output: CowArray<'_, A, D>, p: f64, seed: u64) -> Self {
        let (dim, options) = (grad_output.raw_dim(), Options::new(p, seed));
        Self { client, options, grad_output: codec::encode(grad_output), dim, element: PhantomData }
    }

    /// Makes the call; returns the gradient of the input. Gradients of dropped elements are exactly +0.0.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for options that do not fit; any [`Error`] that has to do with the connection.
    pub async fn send(self) -> Result<Array<A, D>, Error> {
        let Self { client, options, grad_output, dim, element: _ } = self;
        let request = options.backward(grad_output);
        let answer = client.retrying(|client| {
            let request = request.clone();
            async move {
                Ok(match client.route(request.encoded_len()).await? {
                    Route::Unary(client) => {
                        let Answer { message: pb::DropoutBackwardResponse { grad_input }, landed } =
                            client.unary(request).await?;
                        grad_input.map(|tensor| Received { tensor, landed })
                    }
                    Route::Stream(streamed) => {
                        let (grad_input, ..) =
                            Box::pin(exchange::in_memory::<A>(&streamed, Header::Backward(request), 0)).await?;
                        Some(grad_input)
                    }
                })
            }
        });
        let grad_input = answer.await?;
        codec::decode("grad_input", grad_input, &dim)
    }
}
