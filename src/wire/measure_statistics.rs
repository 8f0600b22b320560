//! MeasureStatistics.

use bytes::Bytes;
use evenkeel_kernels::{
    self as kernels, Checkpoint, DType, Demand, NormKind, Normalization, StatisticsPartial, Violations,
    statistics_demand,
};
use evenkeel_proto::v1::{self as pb, measure_statistics_request::Part};

use super::{Description, Path, Tensor, decode_kind, decoded, normalize::check_gradient, statistics, tensor::Decoded};
use crate::error::Error;

/// A decoded `MeasureStatisticsRequest`, one message of a call.
#[derive(Debug)]
pub(crate) struct MeasureStatistics {
    pub(crate) header: Option<Header>,
    /// Their sets have yet to be checked, by [`check_partials`](Self::check_partials).
    pub(crate) partials: Vec<StatisticsPartial>,
    pub(crate) data: Bytes,
    pub(crate) grad_data: Bytes,
}

/// The header of a part.
#[derive(Debug)]
pub(crate) struct Header {
    /// The name of the field that the header came in.
    pub(crate) field: &'static str,
    pub(crate) spec: Normalization,
    pub(crate) dtype: DType,
    pub(crate) shape: Vec<usize>,
    pub(crate) has_gradients: bool,
    /// The memory and work of measuring the part.
    pub(crate) demand: Demand,
    /// All elements and their gradients, if the header has them. Without gradients the second is empty.
    pub(crate) elements: Option<[Bytes; 2]>,
}

impl MeasureStatistics {
    /// Decodes a message. `limit`: the largest message, in bytes.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all faults that are found in the header and the partials.
    pub(crate) fn decode(request: pb::MeasureStatisticsRequest, limit: usize) -> Result<Self, Error> {
        let pb::MeasureStatisticsRequest { part, partials, data, grad_data } = request;
        let mut found = Violations::new();
        let header = part.map(|part| Header::decode(part, limit, &mut found));
        let partials: Vec<_> = (0..)
            .zip(partials)
            .map(|(index, partial)| statistics::decode(partial, Path::item("partials", index), &mut found))
            .collect();
        if !found.is_empty() {
            let mut left = statistics::SETS_IN_A_ROW;
            for (index, partial) in partials.iter().enumerate().filter_map(|(index, it)| Some((index, it.as_ref()?))) {
                left -= statistics::look(partial, Path::item("partials", index), left, &mut found);
            }
        }
        let header = header.map_or(Some(None), |header| header.map(Some));
        let all = header.zip(partials.into_iter().collect());
        decoded(all, found).map(|(header, partials)| Self { header, partials, data, grad_data })
    }

    /// Checks whether elements can have the sums of each set of the partials.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the faults of the first partial that has any; [`Error::Cancelled`].
    pub(crate) fn check_partials(&self, checkpoint: &dyn Checkpoint) -> Result<(), Error> {
        let mut partials = self.partials.iter().enumerate();
        partials.try_for_each(|(index, partial)| statistics::check(partial, Path::item("partials", index), checkpoint))
    }

    /// The number of sets of the partials and of the part that begins.
    pub(crate) fn sets(&self) -> usize {
        let of_part = self.header.as_ref().map_or(0, |header| header.demand.units);
        self.partials.iter().map(|partial| partial.sets().len()).sum::<usize>() + of_part
    }

    /// The bytes of all elements and gradients in the message.
    pub(crate) fn bytes(&self) -> usize {
        let of_header = self.header.iter().flat_map(|header| header.elements.iter().flatten()).map(Bytes::len);
        self.data.len() + self.grad_data.len() + of_header.sum::<usize>()
    }
}

/// The fields of a header that have an effect. Others are accepted, so that one request serves all calls.
struct Fields {
    /// The names of the header, its input and its gradient.
    names: [&'static str; 3],
    kind: i32,
    axes: Vec<i32>,
    groups: u32,
    channel_axis: Option<i32>,
    input: Option<pb::Tensor>,
    /// `None`: gradients are not measured. `Some(None)`: they are, and the header does not describe them.
    grad_output: Option<Option<pb::Tensor>>,
}

impl Header {
    /// Decodes a header. `None`: `found` has the reasons.
    fn decode(part: Part, limit: usize, found: &mut Violations) -> Option<Self> {
        match part {
            Part::Header(pb::NormalizeRequest { kind, axes, groups, channel_axis, input, .. }) => {
                let names = ["header", "header.input", ""];
                Self::of(Fields { names, kind, axes, groups, channel_axis, input, grad_output: None }, limit, found)
            }
            Part::BackwardHeader(header) => {
                let pb::NormalizeBackwardRequest { kind, axes, groups, channel_axis, input, grad_output, .. } = header;
                let names = ["backward_header", "backward_header.input", "backward_header.grad_output"];
                let grad_output = Some(grad_output);
                Self::of(Fields { names, kind, axes, groups, channel_axis, input, grad_output }, limit, found)
            }
        }
    }

    fn of(fields: Fields, limit: usize, found: &mut Violations) -> Option<Self> {
        let Fields { names: [field, input_name, gradient_name], kind, axes, groups, channel_axis, .. } = fields;
        let kind = decode_kind(|| format!("{field}.kind"), kind, found);
        let has_gradients = fields.grad_output.is_some();
        let is_complete = fields.input.as_ref().is_some_and(has_elements);
        let (input, gradient) = (Path::new(input_name), Path::new(gradient_name));
        let (description, elements) = if is_complete {
            let input = Tensor::required(fields.input, input, limit, found);
            let gradient = fields.grad_output.map(|message| Tensor::required(message, gradient, limit, found));
            let (description, elements) = whole(field, input, gradient, found)?;
            (description, Some(elements))
        } else {
            let input = Description::announced(fields.input, input, found);
            if let Some(message) = fields.grad_output.flatten() {
                announced_gradient(field, message, gradient, &input, found);
            }
            (input.ok()?, None)
        };
        let kind: NormKind = kind?;
        let spec = Normalization { axes, groups: groups as usize, channel_axis, ..Normalization::new(kind) };
        let (dtype, shape) = (description.dtype(), description.shape().to_vec());
        match statistics_demand(&spec, dtype, &shape, has_gradients) {
            Ok(demand) => Some(Self { field, spec, dtype, shape, has_gradients, demand, elements }),
            Err(kernels::Error::Invalid(violations)) => {
                prefix(field, &violations, found);
                None
            }
            Err(error) => unreachable!("nothing was computed: {error}"),
        }
    }
}

fn has_elements(tensor: &pb::Tensor) -> bool {
    !tensor.data.is_empty() || !tensor.float_data.is_empty()
}

/// The description and the elements of a part whose header has all of them, and their gradients if those are measured.
/// `None`: `found` has the reasons.
fn whole(
    field: &str,
    input: Decoded<Tensor>,
    gradient: Option<Decoded<Tensor>>,
    found: &mut Violations,
) -> Option<(Description, [Bytes; 2])> {
    if let Some(gradient) = &gradient {
        let mut differences = Violations::new();
        check_gradient(&input, gradient, &mut differences);
        prefix(field, &differences, found);
        differences.is_empty().then_some(())?;
    }
    let input = input.ok()?;
    let gradient =
        gradient.map_or(Some(Bytes::new()), |gradient| gradient.ok().map(|gradient| gradient.bytes().clone()));
    let elements = [input.bytes().clone(), gradient?];
    Some((input.into(), elements))
}

/// Checks the gradient in a header whose input has no elements: it must have none either, and the dtype and shape of
/// the input.
fn announced_gradient(
    field: &str,
    message: pb::Tensor,
    path: Path,
    input: &Decoded<Description>,
    found: &mut Violations,
) {
    if has_elements(&message) {
        return found
            .add_with(|| (path.join(".data"), "expected none, since `input` has none: they come in `grad_data`"));
    }
    let gradient = Description::announced(Some(message), path, found);
    let mut differences = Violations::new();
    check_gradient(input, &gradient, &mut differences);
    prefix(field, &differences, found);
}

/// Adds the violations of a header's fields, under the name of the header.
fn prefix(field: &str, violations: &Violations, found: &mut Violations) {
    for violation in violations.iter() {
        found.add_with(|| (format!("{field}.{}", violation.field), violation.reason.clone()));
    }
}
