//! The context of a call, which all methods share.

use std::{sync::Arc, time::Duration};

use evenkeel_kernels::Checkpoint;
use tonic::codegen::http::Extensions;

use crate::{budget::Reservation, error::Error, executor::Executor, observe::CallRecord};

/// A call's record, and the memory that is reserved for it.
#[derive(Clone, Debug)]
pub(crate) struct CallContext {
    pub(crate) record: CallRecord,
    pub(crate) reservation: Arc<Reservation>,
}

impl CallContext {
    /// The context of the request with these extensions.
    ///
    /// # Panics
    /// If the request has no reservation. Admission gives every request one, since nothing else bounds its memory.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        let reservation = extensions.get::<Arc<Reservation>>().expect("every request is admitted with a reservation");
        Self { record: CallRecord::of(extensions), reservation: Arc::clone(reservation) }
    }

    /// Runs a job of the call. The job may outlive the call, and keeps what the call has reserved, since it keeps the call's messages.
    ///
    /// # Errors
    /// Those of [`Executor::run`].
    pub(crate) async fn run<T, F>(&self, executor: &Executor, estimate: Duration, job: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Checkpoint) -> Result<T, Error> + Send + 'static,
    {
        let reservation = Arc::clone(&self.reservation);
        let job = move |checkpoint: &dyn Checkpoint| {
            let _reservation = reservation;
            job(checkpoint)
        };
        executor.run(&self.record, estimate, job).await
    }

    /// The context of a call without a connection, whose budget is `limit` bytes.
    #[cfg(test)]
    pub(crate) fn detached(method: crate::grpc::Method, limit: usize) -> Self {
        let budget = crate::budget::Budget::new(limit, 0);
        Self { record: CallRecord::detached(method), reservation: Reservation::new(&Arc::default(), budget) }
    }
}
