//! Waiting for what must come, up to a limit: a test for which it does not come fails, and says what that was, where it
//! would hang otherwise.

use std::{
    thread,
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};

/// Whatever is waited for comes by then, or never does: long enough for a machine that hangs, and no measure of speed.
pub const NEVER: Duration = Duration::from_secs(300);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(2);

/// What is said of a wait for this that has come to its end.
pub fn in_vain(what: &str) -> String {
    format!("waited for {NEVER:?} in vain: {what}")
}

/// What this future comes to.
pub async fn within<T>(what: &str, event: impl Future<Output = T>) -> T {
    timeout(NEVER, event).await.unwrap_or_else(|_| panic!("{}", in_vain(what)))
}

/// Looks again and again until it is so.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    until_some(what, async || is_so().await.then_some(())).await;
}

/// Looks again and again until there is something.
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

/// As [`until_some`], on a thread that may wait.
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
