//! The streams that are around a connection's socket, from the inside out: [`ProbingTcp`] tries to write
//! where the system does not say that there is room, and [`CountedUnix`] counts what was read of a Unix domain socket; [`Rewind`] gives the bytes that were read to detect
//! the version of HTTP once more; [`WriteTimeout`] fails when the client does not read; [`FairIo`] lets other connections of
//! the thread go on; [`ReceivedFrames`] notes the windows that the client grants, and lets connections read in turn;
//! [`Outbox`] sends together what HTTP writes one after another; and [`SharedIo`] gives HTTP and the connection's driver a handle
//! each.

mod counted_unix;
mod detect;
mod fair;
mod forward;
mod outbox;
mod passing;
mod probing;
mod received;
mod shared;
mod socket;
mod stream;
mod write_timeout;

pub use self::detect::Version;
pub(crate) use self::{
    counted_unix::CountedUnix,
    detect::{Rewind, detect},
    fair::FairIo,
    outbox::Outbox,
    probing::ProbingTcp,
    received::ReceivedFrames,
    shared::{Keeps, Next, SharedIo},
    socket::Socket,
    stream::Stream,
    write_timeout::WriteTimeout,
};
