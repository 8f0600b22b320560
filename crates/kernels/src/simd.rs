//! One place that chooses the instruction set.
//!
//! Kernels are plain Rust, written once. Their loops are compiled for each [`InstructionSet`], and the best that the
//! machine has is taken. Rust never fuses or reorders floating-point operations on its own, so all versions give the
//! same bits; `tests/properties/bits.rs` compares them.

use std::sync::atomic::{AtomicU8, Ordering};

/// An instruction set that loops are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum InstructionSet {
    /// What every machine of the compiled target has.
    Baseline,
    /// AVX2, with FMA and F16C.
    Avx2,
    /// AVX-512 F, BW, DQ and VL, with all of AVX2.
    Avx512,
}

impl InstructionSet {
    /// All of them, the plainest first.
    pub const ALL: [Self; 3] = [Self::Baseline, Self::Avx2, Self::Avx512];

    /// Whether this machine has it.
    pub fn is_available(self) -> bool {
        match self {
            Self::Baseline => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => has_avx2(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                has_avx2()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => false,
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
}

const UNDECIDED: u8 = u8::MAX;

static CHOSEN: AtomicU8 = AtomicU8::new(UNDECIDED);

/// Uses `set` from now on, in the whole process: a switch for tests and benchmarks, which changes the speed of every
/// operation and the bits of none.
///
/// # Panics
/// If the machine does not have it.
pub fn force(set: InstructionSet) {
    assert!(set.is_available(), "this machine does not have {set:?}");
    CHOSEN.store(set as u8, Ordering::Relaxed);
}

/// The instruction set in use: the best available, unless [`force`] chose another.
pub fn chosen() -> InstructionSet {
    let chosen = CHOSEN.load(Ordering::Relaxed);
    if let Some(set) = InstructionSet::ALL.into_iter().find(|&set| set as u8 == chosen) {
        return set;
    }
    let best = InstructionSet::ALL.into_iter().rfind(|set| set.is_available()).unwrap_or(InstructionSet::Baseline);
    CHOSEN.store(best as u8, Ordering::Relaxed);
    best
}

/// A loop to compile for each instruction set. It is a trait, not a closure, because only a function that is
/// `#[inline(always)]` is sure to be compiled into its caller, and on a closure that attribute is not stable.
pub(crate) trait Kernel {
    type Output;

    /// Implementations, and what they call in their loops, are `#[inline(always)]`.
    fn run(self) -> Self::Output;
}

/// Runs a kernel, compiled for the instruction set in use.
#[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "calling code for instructions that were detected"))]
pub(crate) fn run<K: Kernel>(kernel: K) -> K::Output {
    match chosen() {
        // SAFETY: `chosen` names only instruction sets that `is_available` found on this machine.
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512 => unsafe { avx512(kernel) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx2 => unsafe { avx2(kernel) },
        #[cfg(not(target_arch = "x86_64"))]
        InstructionSet::Avx512 | InstructionSet::Avx2 => kernel.run(),
        InstructionSet::Baseline => kernel.run(),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
fn avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
fn avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}
