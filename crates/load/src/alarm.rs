//! A timer of the kernel: tokio's own wakes up to a millisecond late, which is more than many calls take.

use std::{
    io,
    os::fd::OwnedFd,
    task::{Context, Poll, ready},
    time::Instant,
};

use rustix::{
    io::{Errno, read},
    time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime},
};
use tokio::io::unix::AsyncFd;

/// A timer that wakes its task at a time, once.
#[derive(Debug)]
pub(crate) struct Alarm {
    timer: AsyncFd<OwnedFd>,
    set: Option<Instant>,
}

impl Alarm {
    pub(crate) fn new() -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        #[expect(deprecated, reason = "its successor is unsafe, for types that might close or change their descriptor")]
        let timer = AsyncFd::new(timer)?;
        Ok(Self { timer, set: None })
    }

    /// Completes when it is `at`, or later.
    pub(crate) fn poll_at(&mut self, context: &mut Context<'_>, at: Instant) -> Poll<io::Result<()>> {
        let now = Instant::now();
        if at <= now {
            self.set = None;
            return Poll::Ready(Ok(()));
        }
        if self.set != Some(at) {
            let wait = at - now;
            let value =
                Timespec { tv_sec: wait.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: wait.subsec_nanos().into() };
            let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
            timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
            self.set = Some(at);
        }
        loop {
            let mut ready = ready!(self.timer.poll_read_ready(context))?;
            match read(&self.timer, &mut [0; 8]) {
                Ok(_) => {
                    self.set = None;
                    return Poll::Ready(Ok(()));
                }
                // It was set again after it had woken.
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use super::*;

    #[tokio::test]
    async fn it_wakes_at_the_time_that_was_set_last() -> io::Result<()> {
        let (mut alarm, began) = (Alarm::new()?, Instant::now());
        let (soon, far) = (began + Duration::from_millis(20), began + Duration::from_secs(3600));
        // It is set to a time that never comes, and then to one that does.
        let mut times = [far, soon, soon].into_iter();
        let first = times.next().unwrap_or(far);
        poll_fn(|context| {
            assert!(alarm.poll_at(context, first).is_pending());
            Poll::Ready(())
        })
        .await;
        for at in times {
            poll_fn(|context| alarm.poll_at(context, at)).await?;
            assert!(Instant::now() >= soon);
        }
        Ok(())
    }
}
