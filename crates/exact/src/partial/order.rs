//! The orders of norms.

/// The orders of norms whose terms, and so whose sums, are exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NormOrder {
    /// The sum of the absolute values.
    One,
    /// The root of the sum of the squares.
    Two,
    /// The largest absolute value.
    Infinity,
}

impl NormOrder {
    /// The order that `norm_type` names; `None` for all but 1, 2 and infinity.
    pub fn from_norm_type(norm_type: f64) -> Option<Self> {
        [Self::One, Self::Two, Self::Infinity].into_iter().find(|order| order.norm_type() == norm_type)
    }

    /// 1, 2 or infinity.
    pub fn norm_type(self) -> f64 {
        match self {
            Self::One => 1.0,
            Self::Two => 2.0,
            Self::Infinity => f64::INFINITY,
        }
    }
}
