//! Stand-ins for readers and writers where a stream's tensors are in memory.

use std::{future::Ready, io};

use tokio::io::Empty;

/// Would open a reader.
pub(crate) type Nothing = fn() -> Ready<io::Result<Empty>>;

/// A writer to which nothing goes.
pub(crate) type Nowhere = tokio::io::Sink;
