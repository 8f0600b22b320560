//! The wire contract of evenkeel, generated from `proto/evenkeel/v1/tensor_ops.proto`.
//!
//! [`Method`] is the table of all calls and their paths, for the server and the client.
//!
//! The generated code is committed, so that building needs no protobuf compiler; `tests/drift.rs` fails when it no
//! longer matches the proto, and says how to write it again. Payload fields are [`bytes::Bytes`]: a decoded tensor is
//! a slice of the received message, not a copy.

mod bulk;
mod method;
mod partial;
mod statistics;

pub use statistics::{decode_set, encode_statistics};

pub use method::Method;

/// Version 1 of the contract: messages, enums, `tensor_ops_service_client` and `tensor_ops_service_server`.
#[allow(
    clippy::all,
    clippy::pedantic,
    clippy::wildcard_enum_match_arm,
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    reason = "generated code; its documentation is the proto's own comments"
)]
#[rustfmt::skip]
#[path = "generated/evenkeel.v1.rs"]
pub mod v1;

/// The serialized `google.protobuf.FileDescriptorSet` of the contract, with comments, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/evenkeel.v1.binpb");
