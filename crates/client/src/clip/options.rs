//! The options of a clipping, which the call on arrays and the one on readers have.

/// The setters of a builder that has `request`, a `ClipGradientsRequest`.
macro_rules! setters {
    ([$($parameters:tt)*] $builder:ty) => {
        impl<$($parameters)*> $builder {
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
            pub fn not_above(mut self, not_above: bool) -> Self {
                self.request.not_above = not_above;
                self
            }
        }
    };
}
pub(super) use setters;
