//! The fields of the contract's messages that take more memory than their bytes on the wire.

use crate::grpc::Method;

/// The bytes of memory for a tensor or a partial in a list, with its result and the allocator's overhead.
pub(super) const PER_MESSAGE: usize = 512;
/// The bytes of memory for the statistics of a set: decoded, in a list that doubles when it is full; in the form that
/// is computed with; and the memory that its sums allocate.
pub(super) const PER_SET: usize = 1024;

/// A set of field numbers below 32.
type Fields = u32;

/// The fields of a message that are counted, by their numbers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Messages: the number of the field, the bytes that each message counts by itself, and its own shape.
    pub(super) messages: &'static [(u32, usize, &'static Shape)],
    /// Lists of dimensions or axes.
    pub(super) numbers: Fields,
    /// Lists of float32.
    pub(super) floats: Fields,
    /// Texts, which are copied.
    pub(super) texts: Fields,
}

/// A message without counted fields: all of them are single numbers, or bytes that are not copied.
pub(super) static PLAIN: Shape = Shape { messages: &[], numbers: 0, floats: 0, texts: 0 };

static TENSOR: Shape = Shape { numbers: bit(3), floats: bit(14), texts: bit(1), ..PLAIN };

static STATISTICS: Shape = Shape { messages: &[(15, PER_SET, &PLAIN)], numbers: bit(2), ..PLAIN };

/// The messages in a request of NormalizeBackward; Normalize has all but the last, the gradient.
const OF_NORMALIZATION: &[(u32, usize, &Shape); 7] = &[
    (9, PER_MESSAGE, &STATISTICS),
    (10, PER_MESSAGE, &TENSOR),
    (11, PER_MESSAGE, &TENSOR),
    (12, PER_MESSAGE, &TENSOR),
    (13, PER_MESSAGE, &TENSOR),
    (14, PER_MESSAGE, &TENSOR),
    (15, PER_MESSAGE, &TENSOR),
];

static NORMALIZE: Shape = Shape { messages: OF_NORMALIZATION.split_at(6).0, numbers: bit(2), ..PLAIN };

static NORMALIZE_BACKWARD: Shape = Shape { messages: OF_NORMALIZATION, numbers: bit(2), ..PLAIN };

static TENSORS: Shape = Shape { messages: &[(15, PER_MESSAGE, &TENSOR)], ..PLAIN };

static MEASURE_GRADIENTS: Shape = Shape { messages: &[(14, PER_MESSAGE, &PLAIN), (15, PER_MESSAGE, &TENSOR)], ..PLAIN };

static MEASURE_STATISTICS: Shape = Shape {
    messages: &[(1, PER_MESSAGE, &NORMALIZE), (2, PER_MESSAGE, &NORMALIZE_BACKWARD), (13, PER_MESSAGE, &STATISTICS)],
    ..PLAIN
};

static NORMALIZE_STREAM: Shape = Shape { messages: &[(1, PER_MESSAGE, &NORMALIZE)], ..PLAIN };

static CLIP_STREAM: Shape = Shape { messages: &[(1, PER_MESSAGE, &TENSORS), (2, PER_MESSAGE, &TENSOR)], ..PLAIN };

static DROPOUT_STREAM: Shape = Shape { messages: &[(1, PER_MESSAGE, &TENSORS), (2, PER_MESSAGE, &TENSORS)], ..PLAIN };

/// The depth of counted messages inside a request. The deepest are the statistics in a header.
pub(super) const MOST_LEVELS: usize = 3;

impl Shape {
    /// The shape of a method's request.
    pub(super) fn of(method: Method) -> &'static Self {
        match method {
            Method::Normalize => &NORMALIZE,
            Method::NormalizeBackward => &NORMALIZE_BACKWARD,
            Method::Dropout | Method::DropoutBackward | Method::ClipGradients => &TENSORS,
            Method::MeasureGradients | Method::MeasureGradientsUnary => &MEASURE_GRADIENTS,
            Method::MeasureStatistics | Method::MeasureStatisticsUnary => &MEASURE_STATISTICS,
            Method::NormalizeStream => &NORMALIZE_STREAM,
            Method::DropoutStream => &DROPOUT_STREAM,
            Method::ClipGradientsStream => &CLIP_STREAM,
            Method::GetServerInfo
            | Method::HealthCheck
            | Method::HealthWatch
            | Method::ReflectionV1
            | Method::ReflectionV1Alpha
            | Method::Other => &PLAIN,
        }
    }

    /// The message in a field: the bytes that it counts by itself, and its shape; `None`: the field is not one that is
    /// counted.
    pub(super) fn message(&self, field: u64) -> Option<(usize, &'static Self)> {
        let found = self.messages.iter().find(|&&(number, ..)| u64::from(number) == field);
        found.map(|&(_, counts, shape)| (counts, shape))
    }
}

/// Whether a field is one of these.
pub(super) fn has(fields: Fields, field: u64) -> bool {
    field < Fields::BITS.into() && fields & bit(field as u32) != 0
}

pub(super) const fn bit(field: u32) -> Fields {
    1 << field
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    /// The counted fields of each message are those that the contract has: messages, lists and texts.
    #[test]
    fn the_contract_has_no_list_that_is_not_counted() {
        use prost_types::{
            FileDescriptorSet,
            field_descriptor_proto::{Label, Type},
        };
        let files = FileDescriptorSet::decode(evenkeel_proto::FILE_DESCRIPTOR_SET).expect("the set is right").file;
        let message = |name: &str| {
            let name = name.rsplit('.').next().expect("a name has an end");
            let mut messages = files.iter().flat_map(|file| &file.message_type);
            messages.find(|message| message.name() == name).expect("it is in the contract")
        };
        // Each message has a name, a shape, and the number of levels that may be below it.
        let mut checks: Vec<(String, &'static Shape, usize)> = Vec::new();
        let service = files.iter().flat_map(|file| &file.service).next().expect("there is one");
        for method in &service.method {
            let known = Method::of_path(&format!("/evenkeel.v1.TensorOpsService/{}", method.name()));
            assert_ne!(known, Method::Other, "{}", method.name());
            checks.push((method.input_type().to_owned(), Shape::of(known), MOST_LEVELS));
        }
        assert_eq!(checks.len(), 13, "a new method has a shape");
        while let Some((name, shape, levels)) = checks.pop() {
            let (mut numbers, mut floats, mut texts, mut messages) = (0, 0, 0, 0);
            for field in &message(&name).field {
                let number = u32::try_from(field.number()).expect("it is positive");
                let path = format!("{name}.{}", field.name());
                match (field.r#type(), field.label()) {
                    (Type::Message, label) => {
                        let Some((_, inner)) = shape.message(number.into()) else {
                            let inner = message(field.type_name());
                            assert!(label == Label::Optional && inner.name() == "ExactSum", "{path} is not counted");
                            continue;
                        };
                        messages += 1;
                        assert!(*inner == PLAIN || levels > 0, "{path} is deeper than is followed");
                        checks.push((field.type_name().to_owned(), inner, levels.saturating_sub(1)));
                    }
                    (Type::String, Label::Optional) => texts |= bit(number),
                    (Type::Float, Label::Repeated) => floats |= bit(number),
                    (Type::Int32 | Type::Int64, Label::Repeated) => numbers |= bit(number),
                    (_, Label::Optional) => {}
                    other => panic!("{path}: {other:?}"),
                }
            }
            assert_eq!((shape.numbers, shape.floats, shape.texts), (numbers, floats, texts), "{name}");
            assert_eq!(shape.messages.len(), messages, "{name}");
        }
        let sum = message("ExactSum");
        assert!(sum.field.iter().all(|field| field.label() == Label::Optional && field.r#type() != Type::Message));
    }
}
