//! The calls of the service that a server carries beside its own, which are not in the table of methods.

use std::collections::HashMap;

use prost_reflect::{DescriptorError, DescriptorPool};

use super::admission::Kind;
use crate::guest::Guest;

/// How the messages of each call are counted, by the paths of requests.
#[derive(Debug)]
pub(super) struct Carried(HashMap<String, Kind>);

impl Carried {
    /// The calls of all services of a guest.
    ///
    /// # Errors
    /// Descriptors that cannot be read.
    pub(super) fn new(guest: &Guest) -> Result<Self, DescriptorError> {
        let mut pool = DescriptorPool::global();
        pool.decode_file_descriptor_set(guest.descriptors)?;
        let methods = pool.services().flat_map(|service| service.methods().collect::<Vec<_>>());
        let kinds = methods.map(|method| {
            let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
            (path, if method.is_client_streaming() { Kind::OneByOne } else { Kind::Whole })
        });
        Ok(Self(kinds.collect()))
    }

    /// How the messages of a call with this path are counted; `None`: it is no call of the guest.
    pub(super) fn kind(&self, path: &str) -> Option<Kind> {
        self.0.get(path).copied()
    }
}
