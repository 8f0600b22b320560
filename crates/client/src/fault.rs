//! Why a stream has no result, before it is known what its status means.

use std::io;

use tonic::Status;

use crate::Error;

#[derive(Debug)]
pub(crate) enum Fault {
    /// The server, or the connection, ended the call.
    Status(Status),
    /// This side did.
    Error(Box<Error>),
}

impl Fault {
    pub(crate) fn protocol(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Error::protocol(field, reason).into()
    }

    pub(crate) fn read(error: io::Error) -> Self {
        Error::Read(error).into()
    }

    pub(crate) fn write(error: io::Error) -> Self {
        Error::Write(error).into()
    }
}

impl From<Status> for Fault {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Error(Box::new(error))
    }
}
