//! Details of a status whose bytes are always the same: the metadata of an ErrorInfo is a map, which `tonic-types` writes in
//! any order.

use std::collections::BTreeMap;

use prost::Message;
use tonic::{Code, Status, codegen::Bytes};
use tonic_types::{ErrorDetails, StatusExt as _};

/// `google.rpc.ErrorInfo`, with a map that has an order.
#[derive(Clone, PartialEq, Message)]
struct ErrorInfo {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(string, tag = "2")]
    domain: String,
    #[prost(btree_map = "string, string", tag = "3")]
    metadata: BTreeMap<String, String>,
}

/// A status with these details.
pub(super) fn status(code: Code, message: String, details: ErrorDetails) -> Status {
    let has_info = details.error_info().is_some();
    let status = Status::with_error_details(code, message, details);
    match has_info.then(|| in_order(status.details())).flatten() {
        Some(details) => Status::with_details(code, status.message(), details),
        None => status,
    }
}

/// The same details in order; `None` if they are no `google.rpc.Status`.
fn in_order(details: &[u8]) -> Option<Bytes> {
    let mut status = tonic_types::Status::decode(details).ok()?;
    for detail in &mut status.details {
        if detail.type_url.ends_with("/google.rpc.ErrorInfo") {
            detail.value = ErrorInfo::decode(&detail.value[..]).ok()?.encode_to_vec();
        }
    }
    Some(status.encode_to_vec().into())
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, time::Duration};

    use super::*;

    #[test]
    fn the_bytes_are_always_the_same() {
        let make = || {
            let metadata = (0..20).map(|key| (format!("key_{key}"), format!("value {key}")));
            let mut details = ErrorDetails::with_error_info("REASON", "domain", metadata.collect::<HashMap<_, _>>());
            details.set_retry_info(Some(Duration::from_millis(100)));
            status(Code::Aborted, "words".to_owned(), details)
        };
        let first = make();
        for _ in 0..10 {
            assert_eq!(make().details(), first.details());
        }
        let details = first.get_error_details();
        assert!(details.retry_info().is_some());
        let info = details.error_info().expect("it has one");
        assert_eq!((&*info.reason, &*info.domain, info.metadata.len()), ("REASON", "domain", 20));
        assert_eq!(info.metadata["key_7"], "value 7");
    }
}
