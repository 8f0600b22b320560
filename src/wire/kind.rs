//! Kinds of normalization on the wire.

use evenkeel_kernels::{NormKind, Violations};
use evenkeel_proto::v1 as pb;

use super::{unknown, unspecified};

/// The kind with this value. `None`: there is none, and `found` says so. `field`: the path of the kind.
pub(super) fn decode_kind(field: impl FnOnce() -> String, value: i32, found: &mut Violations) -> Option<NormKind> {
    let known = NormKind::ALL.into_iter().find(|&kind| encode_kind(kind) as i32 == value);
    if known.is_none() && value == pb::NormKind::Unspecified as i32 {
        unspecified(field(), found);
    } else if known.is_none() {
        unknown(field(), value, found);
    }
    known
}

pub(crate) fn encode_kind(kind: NormKind) -> pb::NormKind {
    match kind {
        NormKind::Batch => pb::NormKind::Batch,
        NormKind::Layer => pb::NormKind::Layer,
        NormKind::Rms => pb::NormKind::Rms,
        NormKind::Instance => pb::NormKind::Instance,
        NormKind::Group => pb::NormKind::Group,
        NormKind::L2 => pb::NormKind::L2,
    }
}
