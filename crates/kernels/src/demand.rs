//! The memory and work of an operation, known from its arguments before anything is computed.

/// The memory and work of an operation, beside the tensors that it is given and an output as large as its input.
///
/// A few bytes can ask for much: a tensor of shape [8000000, 0] has no elements, and the statistics of its rows are 64
/// MB. A caller that runs operations for others should check this first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// The bytes of its other results: statistics, gradients of weight and bias, a mask, norms.
    pub results: usize,
    /// The most bytes that it allocates meanwhile and gives back, beside [`SCRATCH_PER_THREAD`](Self::SCRATCH_PER_THREAD).
    pub scratch: usize,
    /// The number of things that take time of their own, however few elements they have: sets that share statistics,
    /// short runs, draws that several elements share, tensors.
    pub units: usize,
}

impl Demand {
    /// The most bytes that each thread which takes part in an operation allocates for the part of a tensor that it works
    /// on, and gives back: such a part has at most 32,768 elements, each of which may be a set of its own.
    pub const SCRATCH_PER_THREAD: usize = 16 << 20;
}
