//! The times of HTTP/2's pings.
//!
//! A ping waits behind all that was written before it, in the system and in the client. A client that takes these bytes steadily, or
//! sends something else, is there, however late it answers the ping.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{self, Duration},
};

use hyper::rt::{Sleep, Timer};
use pin_project_lite::pin_project;
use tokio::time::{Instant, sleep_until};

use crate::{io::Socket, min_rate::Taken};

/// A client that has taken so many bytes is there. The system of a client that hangs may still take a ping or two.
const SIGN_OF_LIFE: usize = 1 << 10;

/// The timer of a connection. Its sleeps go on for as long as the client gives signs of life.
pub(crate) struct PingTimer {
    socket: Arc<dyn Socket + Send + Sync>,
}

impl PingTimer {
    pub(crate) fn new(socket: impl Socket + Send + Sync + 'static) -> Self {
        Self { socket: Arc::new(socket) }
    }
}

impl fmt::Debug for PingTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PingTimer").finish_non_exhaustive()
    }
}

impl Timer for PingTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: time::Instant) -> Pin<Box<dyn Sleep>> {
        let (socket, deadline) = (Arc::clone(&self.socket), Instant::from_std(deadline));
        let (pause, taken) = (deadline.saturating_duration_since(Instant::now()), Taken::since(socket.taken()));
        Box::pin(PingSleep { sleep: sleep_until(deadline), pause, taken, socket })
    }

    fn now(&self) -> time::Instant {
        Instant::now().into_std()
    }
}

pin_project! {
    /// It is over when the client has given no sign of life for so long.
    struct PingSleep {
        #[pin]
        sleep: tokio::time::Sleep,
        pause: Duration,
        taken: Taken,
        socket: Arc<dyn Socket + Send + Sync>,
    }
}

impl Future for PingSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        loop {
            ready!(this.sleep.as_mut().poll(cx));
            let now = Instant::now();
            let takes = this.taken.more(this.socket.taken()) >= SIGN_OF_LIFE;
            let sign = if takes { Some(now) } else { this.socket.last_read() };
            match sign.map(|sign| sign + *this.pause).filter(|&deadline| deadline > now) {
                Some(deadline) => this.sleep.as_mut().reset(deadline),
                None => return Poll::Ready(()),
            }
        }
    }
}

impl Sleep for PingSleep {}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    };

    use tokio::time::{advance, timeout};

    use super::*;

    const PAUSE: Duration = Duration::from_secs(20);
    const SECOND: Duration = Duration::from_secs(1);

    /// What a client does.
    #[derive(Default)]
    struct Client {
        taken: AtomicU64,
        last_read: Mutex<Option<Instant>>,
    }

    impl Socket for Arc<Client> {
        fn has_unsent(&self) -> bool {
            false
        }

        fn taken(&self) -> u64 {
            self.taken.load(Ordering::SeqCst)
        }

        fn last_read(&self) -> Option<Instant> {
            *self.last_read.lock().expect("no panic")
        }
    }

    /// How long a sleep of [`PAUSE`] lasts beside a client that does this each second, for a hundred seconds.
    async fn slept(each_second: impl Fn(&Client)) -> Duration {
        let client = Arc::<Client>::default();
        let began = Instant::now();
        let mut sleep = PingTimer::new(Arc::clone(&client)).sleep(PAUSE);
        while began.elapsed() < 100 * SECOND {
            if timeout(Duration::ZERO, &mut sleep).await.is_ok() {
                return began.elapsed();
            }
            each_second(&client);
            advance(SECOND).await;
        }
        sleep.await;
        began.elapsed()
    }

    fn takes(client: &Client, bytes: u64) {
        client.taken.fetch_add(bytes, Ordering::SeqCst);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_without_a_sign_of_life_has_its_time() {
        let slept = slept(|_| ()).await;
        assert!((PAUSE..PAUSE + 2 * SECOND).contains(&slept), "{slept:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_bytes_is_there() {
        let slept = slept(|client| takes(client, 1 << 10)).await;
        assert!((100 * SECOND..100 * SECOND + 2 * PAUSE).contains(&slept), "{slept:?}");
    }

    /// The system of a client that hangs takes a ping.
    #[tokio::test(start_paused = true)]
    async fn a_few_bytes_are_no_sign() {
        let slept = slept(|client| takes(client, 17)).await;
        assert!((PAUSE..PAUSE + 2 * SECOND).contains(&slept), "{slept:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_is_there() {
        let slept = slept(|client| *client.last_read.lock().expect("no panic") = Some(Instant::now())).await;
        assert!((100 * SECOND + PAUSE - 2 * SECOND..100 * SECOND + PAUSE + 2 * SECOND).contains(&slept), "{slept:?}");
    }
}
