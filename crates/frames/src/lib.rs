//! Messages of gRPC as they are on the wire: their prefixes, and messages whose bulk, the elements of tensors, is neither copied
//! when they are written nor when they are read.
//!
//! Server and client send a message as [`segments`]: encoded fields that describe a tensor, and then its elements as they are.
//! Both read the fields that describe a tensor ([`Head`]) before its elements have come. The crate knows neither the contract
//! nor tonic nor connections: `evenkeel-proto` says which field is the bulk of a tensor ([`Bulk`]).

mod body;
mod bulk;
mod field;
mod head;
mod prefix;
mod segments;

pub use body::SegmentBody;
pub use bulk::Bulk;
pub use field::{Place, last_field};
pub use head::{HEAD_FRAMES, Head};
pub use prefix::{Announced, PREFIX, Prefix};
pub use segments::{encoded, opening, segments};
