//! Row 33: kernels that panic under load, on whichever thread, in two servers of this process: there is no way to make a
//! server panic from outside.

use std::{
    panic, process,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use evenkeel::{CheckpointHook, config::ServerConfig, server::Running};

use crate::{
    ALONE,
    balancer::Balancer,
    load::{Counts, Load},
    resident::memory,
    until::within,
};

/// Every so many checkpoints one panics: a call has from two to some hundred.
const EVERY: usize = 97;
/// Calls that panic before memory is looked at, and after.
const BEFORE: usize = 100;
const PANICS: usize = 200;
/// The bytes by which this process may grow during the latter, usually less than 1 MiB: they are passed if a sixth of the
/// panics leave a tensor of 256 KiB behind.
const MOST: usize = 8 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn panics_cost_one_call_each_and_spoil_no_other() {
    let _alone = ALONE.lock().await;
    within("every call has its answer in the end", panics()).await;
}

async fn panics() {
    let (asked, panicked) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let counted = Arc::clone(&panicked);
    let hook = CheckpointHook::new(move |_| {
        if asked.fetch_add(1, Ordering::Relaxed) % EVERY == EVERY - 1 {
            counted.fetch_add(1, Ordering::Relaxed);
            // `resume_unwind` panics without the hook, which prints: with backtraces that would take longer than all
            // calls.
            panic::resume_unwind(Box::new("as if a kernel were wrong"));
        }
    });
    let balancer = Balancer::start().await;
    let mut servers = Vec::new();
    for place in 0..2 {
        let config = ServerConfig { on_checkpoint: Some(hook.clone()), threads: 2, ..ServerConfig::on_free_port() };
        let server = Running::start(config).await.expect("it starts");
        balancer.places.set(place, server.local_addr());
        servers.push(server);
    }
    let load = Load::start(balancer.address);
    load.counts.above(BEFORE, Counts::panicked).await;
    let before = memory(process::id(), "VmHWM").expect("it lives");
    load.counts.above(BEFORE + PANICS, Counts::panicked).await;
    let grown = memory(process::id(), "VmHWM").expect("it lives") - before;
    eprintln!("grew by {} KiB", grown >> 10);
    assert!(grown < MOST, "{grown} bytes");
    let counts = load.stop().await;
    assert!(counts.right() > PANICS, "others were served");
    // Two parts of one call may panic at the same time, and an answer that has begun may be cut off for it.
    assert!(counts.panicked() <= panicked.load(Ordering::Relaxed), "more calls failed than kernels panicked");
    assert_eq!(counts.unavailable(), 0, "a panic breaks no connection");
    for server in servers {
        server.shutdown_and_wait().await.expect("nothing is left");
    }
}
