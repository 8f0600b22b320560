//! The streams that are around a connection's socket, from the inside out: [`Rewind`] gives what was read to detect the
//! version of HTTP once more; [`WriteTimeout`] fails when the client does not read; [`FairIo`] lets other connections of
//! the thread go on; [`ReceivedFrames`] notes what the client says of its windows; [`Outbox`] sends what HTTP writes
//! together; and of [`SharedIo`] HTTP and the driver of the connection each have a handle.

mod detect;
mod fair;
mod forward;
mod outbox;
mod received;
mod shared;
mod stream;
mod write_timeout;

pub use self::detect::Version;
pub(crate) use self::{
    detect::{Rewind, detect},
    fair::FairIo,
    outbox::Outbox,
    received::ReceivedFrames,
    shared::{Keeps, Next, SharedIo},
    stream::Stream,
    write_timeout::WriteTimeout,
};
