//! The descriptors of all calls, which are compiled in.

use std::collections::HashMap;

use prost_reflect::{DescriptorError, DescriptorPool, MessageDescriptor};

/// The descriptors of messages and calls.
#[derive(Debug)]
pub(crate) struct Schemas {
    pool: DescriptorPool,
    /// The calls, by the paths of their requests.
    rpcs: HashMap<String, Rpc>,
}

/// The messages of a call.
#[derive(Clone, Debug)]
pub(crate) struct Rpc {
    /// A message of the request.
    pub(crate) request: MessageDescriptor,
    /// A message of the answer.
    pub(crate) answer: MessageDescriptor,
    /// Whether the request or the answer is a stream of messages.
    pub(crate) streams: bool,
}

impl Schemas {
    /// The descriptors in these sets, each a serialized `google.protobuf.FileDescriptorSet`. `google.protobuf` is known.
    ///
    /// # Errors
    /// A set that is not one, or that names a type which no set has.
    pub(crate) fn new(sets: &[&[u8]]) -> Result<Self, DescriptorError> {
        let mut pool = DescriptorPool::global();
        for &set in sets {
            pool.decode_file_descriptor_set(set)?;
        }
        let mut rpcs = HashMap::new();
        for service in pool.services() {
            for method in service.methods() {
                let path = format!("/{}/{}", service.full_name(), method.name());
                let streams = method.is_client_streaming() || method.is_server_streaming();
                rpcs.insert(path, Rpc { request: method.input(), answer: method.output(), streams });
            }
        }
        Ok(Self { pool, rpcs })
    }

    /// The call with this path; `None`: there is none.
    pub(crate) fn rpc(&self, path: &str) -> Option<&Rpc> {
        self.rpcs.get(path)
    }

    /// The message with this full name; `None`: there is none.
    pub(crate) fn message(&self, name: &str) -> Option<MessageDescriptor> {
        self.pool.get_message_by_name(name)
    }
}
