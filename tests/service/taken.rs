//! A server whose only compute thread is taken.

use std::sync::{Mutex, PoisonError, mpsc};

use evenkeel::{CheckpointHook, config::ServerConfig, server::Running};
use tokio::task::JoinHandle;

use crate::{
    harness::{Client, connect, dropout, f32s},
    metrics::{config, scrape},
    until::{until, within},
};

/// The call that has taken the thread, until it is released.
pub(crate) struct Taken {
    release: mpsc::Sender<()>,
    call: JoinHandle<()>,
}

/// Starts a server with one compute thread, and takes the thread.
pub(crate) async fn start() -> (Running, Taken) {
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let hook = CheckpointHook::new(move |_| {
        // Until `release` is dropped.
        _ = released.lock().unwrap_or_else(PoisonError::into_inner).recv();
    });
    let server = ServerConfig { threads: 1, on_checkpoint: Some(hook), ..config() };
    let server = Running::start(server).await.expect("the server starts");
    let mut client = Client::new(connect(&server).await);
    let call = tokio::spawn(async move {
        client.dropout(dropout(0.5, f32s(&[1 << 19], &[1.0; 1 << 19]))).await.expect("it is right");
    });
    until("the thread is taken", async || scrape(&server).await["evenkeel_jobs_running"] == 1.0).await;
    (server, Taken { release, call })
}

impl Taken {
    /// Lets the thread compute.
    pub(crate) async fn release(self) {
        drop(self.release);
        within("the call that took the thread ends", self.call).await.expect("it does not panic");
    }
}
