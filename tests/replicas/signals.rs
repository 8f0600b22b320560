//! SIGTERM, SIGKILL and SIGSTOP to one of two replicas under load.

use rustix::process::Signal;
use tonic::transport::Endpoint;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::{
    ALONE,
    balancer::Balancer,
    load::Load,
    replica::Replica,
    until::{until, within},
};

/// Calls between two events: enough for every caller to have made several, and several connections.
const SOME: usize = 300;
/// The bytes by which a replica may grow for six callers: calls of 1 MiB, and buffers that it keeps. Usually 25 to 48
/// MiB.
const MOST: usize = 128 << 20;

/// Row 31: a replica takes no more memory than its callers need, whatever happens to it.
#[track_caller]
fn is_bounded(replica: &Replica) {
    let grown = replica.grown();
    eprintln!("grew by {} KiB", grown >> 10);
    assert!(grown < MOST, "{grown} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_is_lost_or_wrong_whatever_happens_to_one_of_two_replicas() {
    let _alone = ALONE.lock().await;
    within("every call has its answer in the end", turns()).await;
}

async fn turns() {
    let balancer = Balancer::start().await;
    let mut replicas = [Replica::start(), Replica::start()];
    for (place, replica) in replicas.iter().enumerate() {
        balancer.places.set(place, Some(replica.address));
    }
    let load = Load::start(balancer.address);
    let counts = &load.counts;
    counts.more(SOME).await;
    assert_eq!((counts.unavailable(), counts.panicked()), (0, 0), "nothing has happened yet");

    for (place, replica) in replicas.iter_mut().enumerate() {
        // Asked to stop: it tells watchers of its health, and answers the calls that it has begun, so that it ends with
        // 0.
        let mut health = HealthClient::new(channel(replica).await);
        let mut watch = health.watch(HealthCheckRequest::default()).await.expect("it can be watched").into_inner();
        let mut status = async || watch.message().await.expect("the stream is open").map(|answer| answer.status());
        assert_eq!(status().await, Some(ServingStatus::Serving));
        replica.signal(Signal::TERM);
        assert_eq!(status().await, Some(ServingStatus::NotServing));
        // It drains while there are connections, and this one has a watch.
        is_bounded(replica);
        balancer.places.set(place, None);
        let gone = std::mem::replace(replica, Replica::start());
        assert_eq!(gone.ended().await.code(), Some(0), "a call was cut off");
        counts.more(SOME).await;
        balancer.places.set(place, Some(replica.address));
        counts.more(SOME).await;

        // Killed: the balancer still has its address, as it would for a while, and calls in flight break.
        let before = counts.unavailable();
        is_bounded(replica);
        // All callers may have connected to the other one. A caller always has a call in flight.
        let address = replica.address;
        until("callers are connected to it", async || balancer.places.connections(address) > 1).await;
        replica.signal(Signal::KILL);
        counts.above(before, |counts| counts.unavailable()).await;
        counts.more(SOME).await;
        let dead = std::mem::replace(replica, Replica::start());
        assert!(!dead.ended().await.success());
        balancer.places.set(place, Some(replica.address));
        counts.more(SOME).await;
    }

    // Held: it takes connections, and answers nothing, until it goes on.
    let before = counts.out_of_time();
    replicas[0].signal(Signal::STOP);
    counts.above(before, |counts| counts.out_of_time()).await;
    counts.more(SOME / 5).await;
    replicas[0].signal(Signal::CONT);
    counts.more(SOME).await;

    let counts = load.stop().await;
    assert_eq!(counts.panicked(), 0);
    for replica in replicas {
        is_bounded(&replica);
        replica.signal(Signal::TERM);
        assert_eq!(replica.ended().await.code(), Some(0));
    }
}

/// A channel to the replica itself, past the balancer.
async fn channel(replica: &Replica) -> tonic::transport::Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", replica.address)).expect("the URL is one");
    endpoint.connect().await.expect("it listens")
}
