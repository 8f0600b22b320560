//! ClipGradients.

mod exchange;
mod memory;
mod options;
mod passes;
mod sinks;
mod stream;

use evenkeel_proto::v1 as pb;
use prost::Message as _;

use self::options::setters;
pub use self::stream::{ClipGradientsStream, ClipStreamInput, ClippedStream};
use crate::{
    Client, Error, Tensor, codec,
    codec::{Form, Received},
    direct::Answer,
    limits::Route,
};

/// What the response has beside the gradients and their norms, with room to spare.
const NUMBERS: usize = 64;

/// A gradient and the name of its parameter. A pair of name and tensor converts into one.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradient {
    /// The name, which comes back with the clipped gradient. May be empty, and need not be unique.
    pub name: String,
    /// The gradient.
    pub tensor: Tensor,
}

impl<N: Into<String>, T: Into<Tensor>> From<(N, T)> for Gradient {
    fn from((name, tensor): (N, T)) -> Self {
        Self { name: name.into(), tensor: tensor.into() }
    }
}

/// Gradients to clip; made by [`Client::clip_gradients`].
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `by_…(…).send()`"]
pub struct ClipInput {
    client: Client,
    gradients: Vec<pb::Tensor>,
    forms: Vec<Form>,
}

/// A clipping that is ready to [`send`](Self::send).
///
/// ```
/// use ndarray::array;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = evenkeel::server::Running::start(evenkeel::config::ServerConfig::on_free_port()).await?;
/// # let client = evenkeel_client::Client::connect(server.url()).await?;
/// let clip = || client.clip_gradients([("w", array![3.0_f64, 1.0])]).by_norm(1.0).epsilon(0.0);
/// assert_eq!(clip().send().await?.scale, 1.0 / 10_f64.sqrt());
/// assert!(clip().not_above(true).send().await?.scale < 1.0 / 10_f64.sqrt());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `send()`"]
pub struct ClipGradients {
    input: ClipInput,
    /// Without `gradients`, which come last.
    request: pb::ClipGradientsRequest,
}

/// The result of a [`ClipGradients`].
#[derive(Clone, Debug, PartialEq)]
pub struct Clipped {
    /// The gradients after clipping, in the order given, with their names, shapes and types.
    pub gradients: Vec<Gradient>,
    /// The norm over all gradients before clipping, or the one that was given.
    pub total_norm: f64,
    /// The factor that was applied: `min(1, threshold / (total_norm + epsilon))`. By value: 1. By each tensor's norm: the
    /// smallest of any tensor.
    pub scale: f64,
    /// By value: how many elements were outside the threshold.
    pub clipped_elements: u64,
    /// By each tensor's norm: the norms before clipping, in the order given. Empty for the others.
    pub tensor_norms: Vec<f64>,
}

impl ClipInput {
    pub(crate) fn new(client: Client, gradients: impl Iterator<Item = Gradient>) -> Self {
        let (forms, gradients) = gradients
            .map(|Gradient { name, tensor }| (Form::of(&tensor), pb::Tensor { name, ..codec::encode_tensor(tensor) }))
            .unzip();
        Self { client, gradients, forms }
    }

    /// Scales all gradients by one factor, so that the norm over all of them is at most `max_norm`.
    /// `torch.nn.utils.clip_grad_norm_`.
    pub fn by_norm(self, max_norm: f64) -> ClipGradients {
        self.mode(pb::ClipMode::Norm, max_norm)
    }

    /// Clamps every element to `[-max_value, max_value]`; NaN stays NaN. `torch.nn.utils.clip_grad_value_`.
    pub fn by_value(self, max_value: f64) -> ClipGradients {
        self.mode(pb::ClipMode::Value, max_value)
    }

    /// Scales each gradient so that its own norm is at most `max_norm`.
    pub fn by_norm_per_tensor(self, max_norm: f64) -> ClipGradients {
        self.mode(pb::ClipMode::NormPerTensor, max_norm)
    }

    fn mode(self, mode: pb::ClipMode, threshold: f64) -> ClipGradients {
        let request = pb::ClipGradientsRequest { mode: mode.into(), threshold: Some(threshold), ..Default::default() };
        ClipGradients { input: self, request }
    }
}

setters!([] ClipGradients);

impl ClipGradients {
    /// Makes the call. Gradients that are larger than a message of the server are sent as a stream, in two passes if the server
    /// has no memory for all that it would have to hold; the result is the same, to the last bit.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for options that do not fit, [`Error::NonFiniteNorm`]; any [`Error`] that has to do
    /// with the connection.
    pub async fn send(self) -> Result<Clipped, Error> {
        let Self { input: ClipInput { client, gradients, forms }, request } = self;
        let names: Vec<String> = gradients.iter().map(|gradient| gradient.name.clone()).collect();
        let mode = request.mode();
        let request = pb::ClipGradientsRequest { gradients, ..request };
        // The response has the numbers beside the gradients, with a norm for each at most.
        let message_len = request.encoded_len().saturating_add(NUMBERS + size_of::<f64>() * names.len());
        let answer = client.retrying(|client| {
            let request = request.clone();
            async move {
                match client.route(message_len).await? {
                    Route::Unary(client) => Ok(apart(client.unary(request).await?)),
                    Route::Stream(streamed) => Box::pin(memory::clip(streamed, request)).await,
                }
            }
        });
        let (numbers, received) = answer.await?;
        let pb::ClipGradientsResponse { total_norm, scale, clipped_elements, tensor_norms, gradients: _ } = numbers;
        if received.len() != forms.len() {
            let reason = format!("are {} where {} were sent", received.len(), forms.len());
            return Err(Error::protocol("gradients", reason));
        }
        expect_norms(mode, &tensor_norms, forms.len())?;
        let gradients = names.into_iter().zip(forms).zip(received).enumerate();
        let gradients = gradients
            .map(|(index, ((name, form), tensor))| decode(index, name, form, tensor))
            .collect::<Result<_, _>>()?;
        Ok(Clipped { gradients, total_norm, scale, clipped_elements, tensor_norms })
    }
}

/// Refuses an answer that has not a norm for each gradient where the mode has them, or has norms elsewhere.
fn expect_norms(mode: pb::ClipMode, norms: &[f64], gradients: usize) -> Result<(), Error> {
    let due = if mode == pb::ClipMode::NormPerTensor { gradients } else { 0 };
    if norms.len() != due {
        return Err(Error::protocol("tensor_norms", format!("are {} where {due} are due", norms.len())));
    }
    Ok(())
}

/// The numbers of an answer, and its gradients.
fn apart(answer: Answer<pb::ClipGradientsResponse>) -> (pb::ClipGradientsResponse, Vec<Received>) {
    let Answer { mut message, mut landed } = answer;
    let gradients = std::mem::take(&mut message.gradients);
    let last = gradients.len().wrapping_sub(1);
    let received = gradients.into_iter().enumerate().map(|(index, tensor)| {
        let landed = if index == last { landed.take() } else { None };
        Received { tensor, landed }
    });
    (message, received.collect())
}

/// The clipped gradient at this index, whose name and form must be those that were sent.
fn decode(index: usize, name: String, form: Form, mut tensor: Received) -> Result<Gradient, Error> {
    let field = format!("gradients[{index}]");
    let given = std::mem::take(&mut tensor.tensor.name);
    if given != name {
        return Err(Error::protocol(field + ".name", format!("is {given:?} where {name:?} was sent")));
    }
    let tensor = form.decode(&field, Some(tensor))?;
    Ok(Gradient { name, tensor })
}
