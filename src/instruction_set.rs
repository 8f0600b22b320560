//! The names of instruction sets, for people and for labels.

use evenkeel_kernels::simd::InstructionSet;

/// The name in lower case.
pub(crate) fn name(set: InstructionSet) -> &'static str {
    match set {
        InstructionSet::Baseline => "baseline",
        InstructionSet::Avx2 => "avx2",
        InstructionSet::Avx512 => "avx512",
    }
}
