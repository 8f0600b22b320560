//! What measured statistics must be about.

use evenkeel_proto::v1::{self as pb, measure_statistics_request::Part};

use crate::{Error, sets::Sets};

/// What the statistics of a tensor must be about.
pub(crate) struct Due {
    kind: i32,
    sets: Sets,
    elements: u64,
    has_gradients: bool,
}

impl Due {
    /// Those of a request with a tensor of this shape.
    pub(crate) fn of(request: &pb::NormalizeRequest, shape: &[i64], has_gradients: bool) -> Self {
        let shape: Vec<usize> = shape.iter().map(|&dim| usize::try_from(dim).unwrap_or(usize::MAX)).collect();
        let sets = Sets::of(request, &shape);
        let elements = shape.iter().fold(1, |product: u64, &dim| product.saturating_mul(dim as u64));
        let of_set = elements.checked_div(sets.count() as u64).unwrap_or(0);
        Self { kind: request.kind, sets, elements: of_set, has_gradients }
    }

    /// Those of a whole request; `None` if others are merged with them.
    pub(crate) fn of_message(request: &pb::MeasureStatisticsRequest) -> Option<Self> {
        let shape =
            |tensor: &Option<pb::Tensor>| tensor.as_ref().map(|tensor| tensor.shape.clone()).unwrap_or_default();
        if !request.partials.is_empty() {
            return None;
        }
        Some(match request.part.as_ref()? {
            Part::Header(header) => Self::of(header, &shape(&header.input), false),
            Part::BackwardHeader(header) => {
                let pooled = pb::NormalizeRequest {
                    kind: header.kind,
                    axes: header.axes.clone(),
                    groups: header.groups,
                    channel_axis: header.channel_axis,
                    ..Default::default()
                };
                Self::of(&pooled, &shape(&header.input), true)
            }
        })
    }

    /// Refuses other statistics. It looks at no set but the first: each takes time to decode.
    pub(crate) fn check(&self, answer: &pb::StatisticsPartial) -> Result<(), Error> {
        let Self { kind, sets, elements, has_gradients } = self;
        let wrong = |field: &str, reason: String| Err(Error::protocol(field, reason));
        if answer.kind != *kind {
            return wrong("kind", format!("is {} where {kind} was sent", answer.kind));
        }
        if !answer.shape.iter().map(|&dim| usize::try_from(dim).ok()).eq(sets.shape.iter().map(|&dim| Some(dim))) {
            return wrong("shape", format!("is {:?} where {:?} is due", answer.shape, sets.shape));
        }
        if answer.sets.len() != sets.count() {
            return wrong("sets", format!("are {} where {} are due", answer.sets.len(), sets.count()));
        }
        let Some(first) = answer.sets.first() else { return Ok(()) };
        if first.elements != *elements {
            return wrong("sets[0].elements", format!("is {} where {elements} were sent", first.elements));
        }
        if first.sum_of_gradients.is_some() != *has_gradients {
            let reason = "must be there if, and only if, gradients were sent";
            return wrong("sets[0].sum_of_gradients", reason.to_owned());
        }
        Ok(())
    }
}
