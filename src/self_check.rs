//! The self-check: every operation on fixed tensors, and the digests of the results beside those of every other machine.
//!
//! The golden digests are generated where all tests of the kernels pass, and are the same for every instruction set and
//! any number of threads: `just digests` writes them again. A digest that differs means that this machine does not give
//! the bits that the service promises: its processor or memory is faulty, or the compiler has made other code.

mod clip;
mod digest;
mod dropout;
mod inputs;
mod normalize;
mod places;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
};

use evenkeel_kernels::{
    Cancelled, Checkpoint,
    simd::{self, InstructionSet},
};
use rayon::{ThreadPoolBuildError, ThreadPoolBuilder};

use self::places::{Case, Digests, Everywhere, Place};
use crate::{instruction_set, priority};

/// A digest and the name of its case, one a line.
const GOLDEN: &str = include_str!("self_check/golden.txt");

/// Held while instruction sets are forced, which holds for the whole process.
static FORCED: Mutex<()> = Mutex::new(());

/// Where the operations run.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// The instruction sets, one after the other; empty: only the one in use. Forcing one holds for the whole process.
    pub(crate) instruction_sets: Vec<InstructionSet>,
    /// The numbers of threads, one after the other.
    pub(crate) threads: [usize; 2],
    /// How far these threads give way to others, from 0 to 19.
    pub(crate) nice: u8,
}

impl Places {
    /// The instruction set in use, on one thread and on several.
    pub(crate) fn in_use(nice: u8) -> Self {
        /// The most threads: the inputs have no work for more.
        const MOST: usize = 8;
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self { instruction_sets: Vec::new(), threads: [1, cores.clamp(2, MOST)], nice }
    }

    /// Every instruction set that the machine has, on one thread and on several.
    pub(crate) fn all() -> Self {
        let available = InstructionSet::ALL.into_iter().filter(|set| set.is_available());
        Self { instruction_sets: available.collect(), ..Self::in_use(0) }
    }
}

/// The results of a self-check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// How many results were compared.
    pub(crate) compared: usize,
    /// Those that differ.
    pub(crate) differences: Vec<Difference>,
}

/// A result that differs from the golden one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The operation, its options and the dtype, such as `Normalize layer float32`.
    pub(crate) result: String,
    /// How it was computed: to another place, in place, in parts.
    pub(crate) way: &'static str,
    pub(crate) instruction_set: InstructionSet,
    pub(crate) threads: usize,
    pub(crate) cause: Cause,
}

/// How a result differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It has other bits.
    Bits {
        /// The golden digest.
        expected: String,
        /// That of this machine.
        got: String,
    },
    /// There is none: the operation failed or panicked.
    Failed(String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { result, way, instruction_set, threads, cause } = self;
        write!(f, "{result}, {way}, {} on {threads} threads: ", instruction_set::name(*instruction_set))?;
        match cause {
            Cause::Bits { expected, got } => write!(f, "digest {got}, expected {expected}"),
            Cause::Failed(reason) => f.write_str(reason),
        }
    }
}

/// The reason why a self-check has no outcome.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The threads did not start.
    #[error("cannot start the threads of the self-check: {0}")]
    Threads(#[from] ThreadPoolBuildError),
    /// The checkpoint has stopped it.
    #[error("the self-check was stopped")]
    Stopped,
}

impl From<Cancelled> for Error {
    fn from(Cancelled: Cancelled) -> Self {
        Self::Stopped
    }
}

/// Computes everything at every place and compares the digests. It takes seconds of processor time.
///
/// One bit of each result whose name contains `fault` is made wrong, so that a test sees what a faulty machine would do.
///
/// # Errors
/// [`Error`]; a result that differs is none.
pub(crate) fn run(places: &Places, fault: Option<&str>, checkpoint: &dyn Checkpoint) -> Result<Outcome, Error> {
    let _forced = (!places.instruction_sets.is_empty()).then(Forced::begin);
    let nice = places.nice;
    let pool = |threads| {
        ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("self-check-{index}"))
            .start_handler(move |_| priority::give_way(nice))
            .build()
    };
    let [one, several] = places.threads;
    let pools = [pool(one)?, pool(several)?];
    let sets: Vec<Option<InstructionSet>> = match &places.instruction_sets[..] {
        [] => vec![None],
        sets => sets.iter().copied().map(Some).collect(),
    };
    let places: Vec<Place<'_>> =
        sets.iter().flat_map(|&set| pools.iter().map(move |pool| Place { set, pool })).collect();
    let golden = golden();
    let mut outcome = Outcome::default();
    for case in cases() {
        let name = case.name();
        let spoils = fault.is_some_and(|fault| name.contains(fault));
        let mut everywhere = Everywhere::new(&places, checkpoint, spoils);
        case.compute(&mut everywhere)?;
        let expected = golden.get(name.as_str()).copied().unwrap_or("none");
        everywhere.into_digests().for_each(|(place, digests)| outcome.add(&name, expected, place, digests));
    }
    Ok(outcome)
}

impl Outcome {
    /// Adds the digests of a case, or the reason why there are none.
    fn add(&mut self, name: &str, expected: &str, Place { set, pool }: Place<'_>, digests: Digests) {
        let (instruction_set, threads) = (set.unwrap_or_else(simd::chosen), pool.current_num_threads());
        let mut differs = |way, cause| {
            self.differences.push(Difference { result: name.to_owned(), way, instruction_set, threads, cause });
        };
        match digests {
            Ok(digests) => {
                self.compared += digests.len();
                for (way, got) in digests.into_iter().filter(|(_, got)| got != expected) {
                    differs(way, Cause::Bits { expected: expected.to_owned(), got });
                }
            }
            Err(reason) => {
                self.compared += 1;
                differs("computed", Cause::Failed(reason));
            }
        }
    }
}

/// Every operation, with every kind and dtype.
fn cases() -> Vec<Box<dyn Case>> {
    [normalize::cases(), dropout::cases(), clip::cases()].into_iter().flatten().collect()
}

/// The golden digests by the names of their cases.
fn golden() -> BTreeMap<&'static str, &'static str> {
    GOLDEN.lines().filter_map(|line| line.split_once(' ')).map(|(digest, name)| (name, digest)).collect()
}

/// While this lives, instruction sets are forced here alone; afterwards the best one is in use again.
struct Forced {
    _alone: MutexGuard<'static, ()>,
}

impl Forced {
    fn begin() -> Self {
        Self { _alone: FORCED.lock().unwrap_or_else(PoisonError::into_inner) }
    }
}

impl Drop for Forced {
    fn drop(&mut self) {
        if let Some(best) = InstructionSet::ALL.into_iter().rfind(|set| set.is_available()) {
            simd::force(best);
        }
    }
}

#[cfg(test)]
mod tests;
