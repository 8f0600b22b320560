//! Converts norms that merge to messages and back.

use bytes::Bytes;
use evenkeel_exact::{InvalidPartial, NormPartial, Parts};

use crate::v1 as pb;

impl From<&NormPartial> for pb::NormPartial {
    fn from(partial: &NormPartial) -> Self {
        let Parts { norm_type, elements, nan_elements, infinite_elements, largest, sum } = partial.to_parts();
        Self { norm_type, elements, nan_elements, infinite_elements, largest, sum: sum.into() }
    }
}

impl From<pb::NormPartial> for Parts<Bytes> {
    fn from(partial: pb::NormPartial) -> Self {
        let pb::NormPartial { norm_type, elements, nan_elements, infinite_elements, largest, sum } = partial;
        Self { norm_type, elements, nan_elements, infinite_elements, largest, sum }
    }
}

impl TryFrom<pb::NormPartial> for NormPartial {
    type Error = InvalidPartial;

    fn try_from(partial: pb::NormPartial) -> Result<Self, InvalidPartial> {
        Self::from_parts(&Parts::from(partial))
    }
}
