//! Reads the output of a process. A read from a process that neither writes nor ends fails after [`NEVER`].

use std::{
    io::{self, Read},
    os::fd::AsFd,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::until::{NEVER, in_vain};

/// The reader's end of a pipe.
#[derive(Debug)]
pub struct Pipe<T>(pub T);

impl<T: Read + AsFd> Read for Pipe<T> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let limit = Timespec::try_from(NEVER).map_err(io::Error::other)?;
        // The end of the pipe is an event as well.
        if poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&limit))? == 0 {
            return Err(io::Error::new(io::ErrorKind::TimedOut, in_vain("the process writes or ends")));
        }
        self.0.read(bytes)
    }
}
