//! Normalize and NormalizeBackward.

mod answer;
mod backward;
mod exchange;
mod forward;
mod memory;
mod options;
mod stream;

use evenkeel_proto::v1 as pb;

pub use backward::{NormalizeBackward, NormalizeBackwardInput, NormalizeGradients};
pub use forward::{Normalize, NormalizeInput, Normalized};
pub use stream::{NormalizeStream, NormalizeStreamInput, NormalizedStream};

/// Which elements are pooled, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NormKind {
    /// Per channel, over all axes but the channels'. `torch.nn.functional.batch_norm`.
    Batch,
    /// Over the last axis of an input with up to three axes, over all axes but the first of one with four or more.
    /// `torch.nn.functional.layer_norm`.
    Layer,
    /// As [`Layer`](Self::Layer), by the root of the mean square; no mean is subtracted.
    /// `torch.nn.functional.rms_norm`.
    Rms,
    /// Per sample and channel, over all axes but 0 and the channels'; three dimensions and more.
    /// `torch.nn.functional.instance_norm`.
    Instance,
    /// Per sample and group of channels, over all axes but 0; needs `groups`. `torch.nn.functional.group_norm`.
    Group,
    /// Over axis 1, of an input with one dimension over that: divided by the norm, or by eps if the norm is smaller. No weight, no
    /// bias.
    /// `torch.nn.functional.normalize`.
    L2,
}

impl NormKind {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Batch, Self::Layer, Self::Rms, Self::Instance, Self::Group, Self::L2];

    pub(crate) fn to_wire(self) -> pb::NormKind {
        match self {
            Self::Batch => pb::NormKind::Batch,
            Self::Layer => pb::NormKind::Layer,
            Self::Rms => pb::NormKind::Rms,
            Self::Instance => pb::NormKind::Instance,
            Self::Group => pb::NormKind::Group,
            Self::L2 => pb::NormKind::L2,
        }
    }

    /// `None` for a value that the contract does not have, and for "unspecified".
    pub(crate) fn from_wire(value: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.to_wire() as i32 == value)
    }
}
