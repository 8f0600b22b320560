//! One record for each call: made at the door, filled on the way, and written once, when the call ends.
//!
//! [`Recorder::begin`] makes it of a request's headers, before anything else looks at them. The request's extensions carry it
//! to whatever answers the call: admission adds the bytes, the service adds what is computed on what, the executor adds the times.
//! The [`RecordGuard`] travels with the response. When it ends, or is dropped because the call was abandoned, the call
//! gets one count in the metrics, one line in the log and one span, all of them with the same status code.

mod entry;
mod line;
mod record;
mod recorder;
mod response;
mod work;

pub(crate) use self::{
    record::{CallRecord, RecordGuard, Stage},
    recorder::Recorder,
    response::{AnsweredByHttp, CountedBody, RecordedBody, Responding, caught},
    work::InPieces,
};
