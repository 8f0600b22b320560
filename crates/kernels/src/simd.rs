//! One place that chooses the instruction set.
//!
//! Kernels are plain Rust, written once. Their loops are compiled for each [`InstructionSet`], and the best one that
//! the machine has is used. Rust never fuses or reorders floating-point operations on its own, so all versions give the
//! same bits; `tests/properties/bits.rs` compares them.

use std::sync::atomic::{AtomicU8, Ordering};
#[cfg(target_arch = "x86_64")]
use std::{
    arch::x86_64::{__m128i, __m256, _MM_FROUND_TO_NEAREST_INT, _mm256_cvtph_ps, _mm256_cvtps_ph},
    mem::transmute,
};

/// An instruction set that loops are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum InstructionSet {
    /// The instructions that every machine of the compiled target has.
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

    /// The best instruction set that it is compiled for. Where loops spend their time in conversions between float32
    /// and float64, vectors of 256 bits convert at least as many elements a cycle as those of 512.
    const WIDEST: InstructionSet = InstructionSet::Avx512;

    /// Implementations, and the functions that they call in their loops, are `#[inline(always)]`.
    fn run(self) -> Self::Output;

    /// As [`run`](Self::run), for machines on which a fused multiplication and addition is one instruction. An implementation
    /// that uses it has to give the same bits as `run`.
    #[inline(always)]
    fn run_fused(self) -> Self::Output
    where
        Self: Sized,
    {
        self.run()
    }
}

/// Runs a kernel, compiled for the instruction set in use.
#[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "calling code for instructions that were detected"))]
pub(crate) fn run<K: Kernel>(kernel: K) -> K::Output {
    match chosen().min(K::WIDEST) {
        // SAFETY: `chosen` returns only instruction sets that `is_available` found on this machine, and a machine that
        // has one of them has those below it, too.
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512 if const { matches!(K::WIDEST, InstructionSet::Avx512) } => unsafe { avx512(kernel) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512 | InstructionSet::Avx2 => unsafe { avx2(kernel) },
        #[cfg(not(target_arch = "x86_64"))]
        InstructionSet::Avx512 | InstructionSet::Avx2 => kernel.run(),
        InstructionSet::Baseline => kernel.run(),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
fn avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run_fused()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
fn avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run_fused()
}

/// Prefetches the bytes that lie `ahead` bytes after these. The address may lie outside the tensor.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline(always)]
#[expect(unsafe_code, reason = "an instruction that has no other name")]
pub(crate) fn prefetch(bytes: &[u8], ahead: usize) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    /// The bytes of a cache line.
    const LINE: usize = 64;
    for line in bytes.chunks(LINE) {
        // SAFETY: every x86-64 machine has this instruction. It reads nothing, whatever the address is.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().wrapping_add(ahead).cast()) };
    }
}

/// Does nothing: other processors go without prefetching, and Miri does not know the instruction.
#[cfg(any(not(target_arch = "x86_64"), miri))]
pub(crate) fn prefetch(_: &[u8], _: usize) {}

/// Converts float16 numbers, given as their bytes, to float32: as many as both slices have. Returns false, and does
/// nothing, if the instruction set in use has no conversion.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[expect(unsafe_code, reason = "calling code for instructions that were detected")]
pub(crate) fn widen_f16(halves: &[[u8; 2]], values: &mut [f32]) -> bool {
    match chosen() {
        InstructionSet::Baseline => false,
        InstructionSet::Avx2 | InstructionSet::Avx512 => {
            // SAFETY: `chosen` returns only instruction sets that `is_available` found on this machine.
            unsafe {
                widen_by_f16c(halves, values);
            }
            true
        }
    }
}

/// On other processors it returns false and does nothing.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn widen_f16(_: &[[u8; 2]], _: &mut [f32]) -> bool {
    false
}

/// Converts float32 numbers to float16, as their bytes, rounded to nearest, ties to even, every NaN to the canonical
/// one; otherwise as [`widen_f16`].
#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[expect(unsafe_code, reason = "calling code for instructions that were detected")]
pub(crate) fn narrow_f16(values: &[f32], halves: &mut [[u8; 2]]) -> bool {
    match chosen() {
        InstructionSet::Baseline => false,
        InstructionSet::Avx2 | InstructionSet::Avx512 => {
            // SAFETY: as above.
            unsafe {
                narrow_by_f16c(values, halves);
            }
            true
        }
    }
}

/// On other processors it returns false and does nothing.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn narrow_f16(_: &[f32], _: &mut [[u8; 2]]) -> bool {
    false
}

/// The numbers that F16C converts at a time.
#[cfg(target_arch = "x86_64")]
const F16C_LANES: usize = 8;

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx,f16c")]
#[expect(unsafe_code, reason = "vectors are arrays")]
fn widen_by_f16c(halves: &[[u8; 2]], values: &mut [f32]) {
    let widen = |halves: [[u8; 2]; F16C_LANES]| -> [f32; F16C_LANES] {
        // SAFETY: each `transmute` is between types of the same size, 16 and 32 bytes, for which all bytes are valid.
        unsafe { transmute(_mm256_cvtph_ps(transmute::<[[u8; 2]; F16C_LANES], __m128i>(halves))) }
    };
    let (whole_halves, halves) = halves.as_chunks();
    let (whole_values, values) = values.as_chunks_mut();
    whole_values.iter_mut().zip(whole_halves).for_each(|(values, halves)| *values = widen(*halves));
    let mut padded = [[0; 2]; F16C_LANES];
    padded[..halves.len()].copy_from_slice(halves);
    values.copy_from_slice(&widen(padded)[..values.len()]);
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx,f16c")]
#[expect(unsafe_code, reason = "vectors are arrays")]
fn narrow_by_f16c(values: &[f32], halves: &mut [[u8; 2]]) {
    let narrow = |values: [f32; F16C_LANES]| -> [[u8; 2]; F16C_LANES] {
        let canonical = values.map(|x| if x.is_nan() { f32::NAN } else { x });
        // SAFETY: each `transmute` is between types of the same size, 32 and 16 bytes, for which all bytes are valid.
        unsafe {
            let vector = transmute::<[f32; F16C_LANES], __m256>(canonical);
            transmute(_mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(vector))
        }
    };
    let (whole_values, values) = values.as_chunks();
    let (whole_halves, halves) = halves.as_chunks_mut();
    whole_halves.iter_mut().zip(whole_values).for_each(|(halves, values)| *halves = narrow(*values));
    let mut padded = [0.0; F16C_LANES];
    padded[..values.len()].copy_from_slice(values);
    halves.copy_from_slice(&narrow(padded)[..halves.len()]);
}
