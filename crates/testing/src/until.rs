//! Waits for events, up to a limit: a test whose event does not come fails and names the event, instead of hanging.

use std::{
    thread,
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};

/// The limit of every wait: long enough for a machine that stops for minutes, and no measure of speed.
pub const NEVER: Duration = Duration::from_secs(300);
/// The pause between two checks.
const PAUSE: Duration = Duration::from_millis(2);

/// The message of a wait that has come to its limit.
pub fn in_vain(what: &str) -> String {
    format!("waited for {NEVER:?} in vain: {what}")
}

/// The result of `event`, or a panic after [`NEVER`].
pub async fn within<T>(what: &str, event: impl Future<Output = T>) -> T {
    timeout(NEVER, event).await.unwrap_or_else(|_| panic!("{}", in_vain(what)))
}

/// Checks again and again until `is_so` is true.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    until_some(what, async || is_so().await.then_some(())).await;
}

/// Calls `look` again and again until it returns something.
pub async fn until_some<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            match look().await {
                Some(found) => break found,
                None => sleep(PAUSE).await,
            }
        }
    };
    within(what, found).await
}

/// Like [`until_some`], on a thread that may block.
#[track_caller]
pub fn until_some_here<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < NEVER, "{}", in_vain(what));
        #[expect(clippy::disallowed_methods, reason = "another process makes the event, and nothing tells of it")]
        thread::sleep(PAUSE);
    }
}
