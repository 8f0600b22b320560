//! The streams that are around a connection's socket, from the inside out: [`Rewind`] gives what was read to detect the
//! version of HTTP once more; [`WriteTimeout`] fails when the client does not read; [`FairIo`] lets other connections of
//! the thread go on; [`CoalescedWrites`] sends small writes together; [`PrefaceWatch`] notes when the client has begun.

mod coalesced;
mod detect;
mod fair;
mod preface;
mod stream;
mod write_timeout;

pub use self::detect::Version;
pub(crate) use self::{
    coalesced::CoalescedWrites,
    detect::{Rewind, detect},
    fair::FairIo,
    preface::PrefaceWatch,
    stream::Stream,
    write_timeout::WriteTimeout,
};
