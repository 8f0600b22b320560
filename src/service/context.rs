//! The context of a call, which all methods share.

use std::sync::Arc;

use tonic::codegen::http::Extensions;

use crate::{budget::Reservation, observe::CallRecord};

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

    /// The context of a call without a connection, whose budget is `limit` bytes.
    #[cfg(test)]
    pub(crate) fn detached(method: crate::grpc::Method, limit: usize) -> Self {
        let budget = crate::budget::Budget::new(limit, 0);
        Self { record: CallRecord::detached(method), reservation: Reservation::new(&Arc::default(), budget) }
    }
}
