//! A service that a server carries beside its own.

use std::fmt;

use tonic::service::Routes;

/// A service behind the same layers as the tensor service, for checks that bring one of their own: `checks/connectconformance` has
/// that of Connect's conformance suite.
#[doc(hidden)]
#[derive(Clone)]
pub struct Guest {
    pub(crate) routes: Routes,
    pub(crate) descriptors: &'static [u8],
}

impl Guest {
    /// `routes` answer the calls of all services in `descriptors`, a serialized `google.protobuf.FileDescriptorSet`.
    pub fn new(routes: Routes, descriptors: &'static [u8]) -> Self {
        Self { routes: routes.prepare(), descriptors }
    }
}

impl fmt::Debug for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guest")
    }
}
