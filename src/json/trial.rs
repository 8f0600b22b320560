//! Texts and messages of requests as the server converts them, without a server. Only for `fuzz/`.

use std::sync::Arc;

use bytes::Bytes;
use evenkeel_kernels::Uninterrupted;
use prost_reflect::{DescriptorError, MessageDescriptor};
use tonic::Status;

use super::{Growing, Schemas};
use crate::budget::{Budget, Reservation};

/// Converts the messages of the tensor service's requests.
#[derive(Debug)]
pub struct JsonTrial(Schemas);

impl JsonTrial {
    /// Reads the contract.
    ///
    /// # Errors
    /// A contract that cannot be read.
    pub fn new() -> Result<Self, DescriptorError> {
        Schemas::new(&[evenkeel_proto::FILE_DESCRIPTOR_SET]).map(Self)
    }

    fn request(&self, path: &str) -> Result<MessageDescriptor, Status> {
        let rpc = self.0.rpc(path).ok_or_else(|| Status::unimplemented("there is no such method"))?;
        Ok(rpc.request.clone())
    }

    /// The message of the method with this path that a text becomes, for a call that may hold `bytes` bytes.
    ///
    /// # Errors
    /// The status that the server answers with.
    pub fn read(&self, path: &str, text: &[u8], bytes: usize) -> Result<Bytes, Status> {
        let request = self.request(path)?;
        let reservation = Reservation::new(&Arc::default(), Budget::new(bytes, 0));
        let mut out = Growing::new(&reservation);
        super::read(text, &request, &mut out, usize::MAX, &reservation, &Uninterrupted)?;
        Ok(out.into_bytes())
    }

    /// The text of a message of the method with this path.
    ///
    /// # Errors
    /// A message that is not of the method's type.
    pub fn write(&self, path: &str, message: &[u8]) -> Result<Bytes, Status> {
        let request = self.request(path)?;
        let mut out = Growing::uncounted();
        super::write(message, &request, &mut out, &Uninterrupted)?;
        Ok(out.into_bytes())
    }
}
