//! The kinds of operations: the label `kind`.

use evenkeel_kernels::{ClipMode, DropoutKind, NormKind, NormOrder};

use crate::grpc::Method;

/// The kind of a call's operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Normalization(NormKind),
    Dropout(DropoutKind),
    Clipping(ClipMode),
    Norm(NormOrder),
}

const NORMALIZATIONS: [Kind; NormKind::ALL.len()] = {
    let mut kinds = [Kind::Normalization(NormKind::ALL[0]); _];
    let mut place = 0;
    while place < kinds.len() {
        kinds[place] = Kind::Normalization(NormKind::ALL[place]);
        place += 1;
    }
    kinds
};
const DROPOUTS: [Kind; 4] = [
    Kind::Dropout(DropoutKind::Element),
    Kind::Dropout(DropoutKind::Channel),
    Kind::Dropout(DropoutKind::Alpha),
    Kind::Dropout(DropoutKind::FeatureAlpha),
];
const CLIPPINGS: [Kind; 3] =
    [Kind::Clipping(ClipMode::Norm), Kind::Clipping(ClipMode::Value), Kind::Clipping(ClipMode::NormPerTensor)];
const NORMS: [Kind; 3] = [Kind::Norm(NormOrder::One), Kind::Norm(NormOrder::Two), Kind::Norm(NormOrder::Infinity)];

impl Kind {
    /// The most kinds that an operation has.
    pub(crate) const MOST: usize = {
        let others = if DROPOUTS.len() > CLIPPINGS.len() { DROPOUTS.len() } else { CLIPPINGS.len() };
        if NORMALIZATIONS.len() > others { NORMALIZATIONS.len() } else { others }
    };

    /// The kinds of a method.
    pub(crate) fn of_method(method: Method) -> &'static [Self] {
        match method {
            Method::Normalize
            | Method::NormalizeBackward
            | Method::MeasureStatistics
            | Method::MeasureStatisticsUnary
            | Method::NormalizeStream => &NORMALIZATIONS,
            Method::Dropout | Method::DropoutBackward | Method::DropoutStream => &DROPOUTS,
            Method::ClipGradients | Method::ClipGradientsStream => &CLIPPINGS,
            Method::MeasureGradients | Method::MeasureGradientsUnary => &NORMS,
            Method::GetServerInfo
            | Method::HealthCheck
            | Method::HealthWatch
            | Method::ReflectionV1
            | Method::ReflectionV1Alpha
            | Method::Other => &[],
        }
    }

    /// Its place among those of its operation.
    pub(crate) fn index(self) -> usize {
        match self {
            Self::Normalization(kind) => kind as usize,
            Self::Dropout(kind) => kind as usize,
            Self::Clipping(mode) => mode as usize,
            Self::Norm(order) => order as usize,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Normalization(kind) => kind.name(),
            Self::Dropout(DropoutKind::Element) => "element",
            Self::Dropout(DropoutKind::Channel) => "channel",
            Self::Dropout(DropoutKind::Alpha) => "alpha",
            Self::Dropout(DropoutKind::FeatureAlpha) => "feature_alpha",
            Self::Clipping(ClipMode::Norm) => "norm",
            Self::Clipping(ClipMode::Value) => "value",
            Self::Clipping(ClipMode::NormPerTensor) => "norm_per_tensor",
            Self::Norm(NormOrder::One) => "1",
            Self::Norm(NormOrder::Two) => "2",
            Self::Norm(NormOrder::Infinity) => "inf",
        }
    }
}

impl From<NormKind> for Kind {
    fn from(kind: NormKind) -> Self {
        Self::Normalization(kind)
    }
}

impl From<DropoutKind> for Kind {
    fn from(kind: DropoutKind) -> Self {
        Self::Dropout(kind)
    }
}

impl From<ClipMode> for Kind {
    fn from(mode: ClipMode) -> Self {
        Self::Clipping(mode)
    }
}

impl From<NormOrder> for Kind {
    fn from(order: NormOrder) -> Self {
        Self::Norm(order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_places() {
        for method in Method::ALL {
            let kinds = Kind::of_method(method);
            assert!(kinds.len() <= Kind::MOST);
            assert!(kinds.iter().enumerate().all(|(place, kind)| kind.index() == place), "{kinds:?}");
        }
        let with_kinds = Method::ALL.iter().take_while(|&&method| !Kind::of_method(method).is_empty());
        assert_eq!(with_kinds.count(), Method::TENSOR_OPS);
    }
}
