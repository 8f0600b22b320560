//! ClipGradients.

use evenkeel_proto::v1 as pb;

use crate::{
    Client, Error, Tensor, codec,
    codec::{Form, Received},
    direct::Answer,
};

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

impl ClipGradients {
    /// The order of the norm: above 0, or infinity for the largest absolute value. By value, it is the order of the
    /// `total_norm` that comes back. Default: 2.
    pub fn norm_type(mut self, norm_type: f64) -> Self {
        self.request.norm_type = Some(norm_type);
        self
    }

    /// Whether a norm that is NaN or infinite is an [`Error::NonFiniteNorm`], and nothing is clipped. Default: false:
    /// a NaN norm makes all elements NaN, an infinite one makes finite elements 0 and infinite ones NaN.
    pub fn error_if_nonfinite(mut self, error_if_nonfinite: bool) -> Self {
        self.request.error_if_nonfinite = error_if_nonfinite;
        self
    }

    /// By norm: replaces the norm of these gradients, which are then only a part of all, by a norm that was reduced elsewhere.
    /// Refused for the other modes.
    pub fn total_norm(mut self, total_norm: f64) -> Self {
        self.request.total_norm = Some(total_norm);
        self
    }

    /// The number that is added to the norm before the threshold is divided by it: finite, not negative. Default: 1e-6, as in
    /// PyTorch; Optax and TensorFlow use 0. Refused by value.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.request.epsilon = Some(epsilon);
        self
    }

    /// Whether the exact norm of the clipped gradients must not exceed the threshold, not even by a rounding, as differential
    /// privacy requires. Gradients whose exact norm does not exceed it come back bit for bit. For norms of order 1, 2 and
    /// infinity; refused by value and beside [`total_norm`](Self::total_norm). Default: false.
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
    pub fn not_above(mut self, not_above: bool) -> Self {
        self.request.not_above = not_above;
        self
    }

    /// Makes the call.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for options that do not fit, [`Error::NonFiniteNorm`]; any [`Error`] that has to do
    /// with the connection.
    pub async fn send(self) -> Result<Clipped, Error> {
        let Self { input: ClipInput { client, gradients, forms }, request } = self;
        let names: Vec<String> = gradients.iter().map(|gradient| gradient.name.clone()).collect();
        let answer = client.unary(pb::ClipGradientsRequest { gradients, ..request });
        let Answer { message, mut landed } = answer.await?;
        let pb::ClipGradientsResponse { total_norm, scale, clipped_elements, tensor_norms, gradients } = message;
        if gradients.len() != forms.len() {
            let reason = format!("are {} where {} were sent", gradients.len(), forms.len());
            return Err(Error::protocol("gradients", reason));
        }
        let last = gradients.len().wrapping_sub(1);
        let gradients = names
            .into_iter()
            .zip(forms)
            .zip(gradients)
            .enumerate()
            .map(|(index, ((name, form), tensor))| {
                let landed = if index == last { landed.take() } else { None };
                decode(index, name, form, Received { tensor, landed })
            })
            .collect::<Result<_, _>>()?;
        Ok(Clipped { gradients, total_norm, scale, clipped_elements, tensor_norms })
    }
}

/// The clipped gradient at this index, whose name and form must be those that were sent.
fn decode(index: usize, name: String, form: Form, tensor: Received) -> Result<Gradient, Error> {
    let field = format!("gradients[{index}]");
    let given = &tensor.tensor.name;
    if *given != name {
        return Err(Error::protocol(field + ".name", format!("is {given:?} where {name:?} was sent")));
    }
    let tensor = form.decode(&field, Some(tensor))?;
    Ok(Gradient { name, tensor })
}
