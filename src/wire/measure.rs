//! MeasureGradients.

use evenkeel_exact::{InvalidPartial, NormOrder, NormPartial};
use evenkeel_kernels::{TensorRef, Violations};
use evenkeel_proto::v1 as pb;

use super::{Tensor, clip::decode_gradients, decoded};
use crate::error::Error;

/// A decoded `MeasureGradientsRequest`, one message of a call.
#[derive(Debug)]
pub(crate) struct MeasureGradients {
    pub(crate) order: NormOrder,
    pub(crate) partials: Vec<NormPartial>,
    gradients: Vec<Tensor>,
}

impl MeasureGradients {
    /// `limit`: the largest message, in bytes. `order`: that of the messages before, which this one must not change.
    pub(crate) fn decode(
        request: pb::MeasureGradientsRequest,
        order: Option<NormOrder>,
        limit: usize,
    ) -> Result<Self, Error> {
        let pb::MeasureGradientsRequest { norm_type, partials, gradients } = request;
        let said = norm_type.map(decode_order).transpose()?;
        if let (Some(before), Some(said)) = (order, said)
            && before != said
        {
            let reason = format!("is {} after messages of {}", said.norm_type(), before.norm_type());
            return Err(Error::invalid("norm_type", reason));
        }
        let order = order.or(said).unwrap_or(NormOrder::Two);
        let partials = partials
            .into_iter()
            .enumerate()
            .map(|(index, partial)| {
                decode_partial(partial, order)
                    .map_err(|(field, reason)| Error::invalid(format!("partials[{index}].{field}"), reason))
            })
            .collect::<Result<_, _>>()?;
        let mut found = Violations::new();
        let gradients = decode_gradients(gradients, limit, &mut found);
        decoded(Some(Self { order, partials, gradients }), found)
    }

    /// What the kernels see.
    pub(crate) fn views(&self) -> Vec<TensorRef<'_>> {
        self.gradients.iter().map(Tensor::view).collect()
    }
}

fn decode_order(norm_type: f64) -> Result<NormOrder, Error> {
    NormOrder::from_norm_type(norm_type)
        .ok_or_else(|| Error::invalid("norm_type", InvalidPartial::NormType(norm_type).to_string()))
}

/// A partial of this order; or the field of it that is wrong, and why.
fn decode_partial(partial: pb::NormPartial, order: NormOrder) -> Result<NormPartial, (&'static str, String)> {
    let partial = NormPartial::try_from(partial).map_err(|error| (error.field(), error.to_string()))?;
    if partial.order() != order {
        let reason = format!("expected {}, got {}", order.norm_type(), partial.order().norm_type());
        return Err(("norm_type", reason));
    }
    Ok(partial)
}

/// The answer to a call that has measured this.
pub(crate) fn encode_norm(partial: &NormPartial) -> pb::MeasureGradientsResponse {
    pb::MeasureGradientsResponse { partial: Some(partial.into()), total_norm: partial.norm() }
}
