//! Where operations are computed: on every instruction set and number of threads that is asked for.

use std::panic::{self, AssertUnwindSafe};

use evenkeel_kernels::{
    Cancelled, Checkpoint, Error as KernelError,
    simd::{self, InstructionSet},
};
use rayon::ThreadPool;

use super::digest::Ways;
use crate::panics;

/// An operation on fixed tensors, with a golden digest of its results.
pub(super) trait Case: Sync {
    /// The name, which no other case has.
    fn name(&self) -> String;

    /// Computes the results in every way that the server has, and adds them to the digest of that way.
    ///
    /// # Errors
    /// The checkpoint has stopped it.
    fn compute(&self, everywhere: &mut Everywhere<'_>) -> Result<(), Cancelled>;
}

/// The digests of a case, or the reason why there are none.
pub(super) type Digests = Result<Vec<(&'static str, String)>, String>;

/// An instruction set, and threads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// `None`: the one in use.
    pub(super) set: Option<InstructionSet>,
    pub(super) pool: &'a ThreadPool,
}

/// A case at every place.
pub(super) struct Everywhere<'a> {
    places: Vec<(Place<'a>, Result<Ways<'a>, String>)>,
}

impl<'a> Everywhere<'a> {
    /// `spoils`: whether one bit of each result is to be wrong.
    pub(super) fn new(places: &[Place<'a>], checkpoint: &'a dyn Checkpoint, spoils: bool) -> Self {
        let ways = |&place: &Place<'a>| (place, Ok(Ways::new(checkpoint, spoils)));
        Self { places: places.iter().map(ways).collect() }
    }

    /// Computes at every place. A place where this fails or panics has no digests.
    ///
    /// # Errors
    /// The checkpoint has stopped it.
    pub(super) fn run(
        &mut self,
        compute: impl Fn(&mut Ways<'_>) -> Result<(), KernelError> + Sync,
    ) -> Result<(), Cancelled> {
        for (Place { set, pool }, ways) in &mut self.places {
            let Ok(so_far) = ways else { continue };
            if let &mut Some(set) = set {
                simd::force(set);
            }
            match panic::catch_unwind(AssertUnwindSafe(|| pool.install(|| compute(so_far)))) {
                Ok(Ok(())) => {}
                Ok(Err(KernelError::Cancelled)) => return Err(Cancelled),
                Ok(Err(error)) => *ways = Err(error.to_string()),
                Err(panic) => *ways = Err(format!("panicked: {}", panics::message(panic.as_ref()))),
            }
        }
        Ok(())
    }

    /// The digests of each place, in order.
    pub(super) fn into_digests(self) -> impl Iterator<Item = (Place<'a>, Digests)> {
        self.places.into_iter().map(|(place, ways)| (place, ways.map(|ways| ways.into_digests().collect())))
    }
}
