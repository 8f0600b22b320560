//! The standard health service, `grpc.health.v1`.

use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::harness::{connect, refusal, start};

fn named(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

#[tokio::test]
async fn the_server_and_its_service_are_serving() {
    let (server, _client) = start().await;
    let mut health = HealthClient::new(connect(&server).await);
    for service in ["", "evenkeel.v1.TensorOpsService"] {
        let answer = health.check(named(service)).await.expect("the name is known").into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service:?}");
    }
}

#[tokio::test]
async fn the_health_of_an_unknown_service_is_not_found() {
    let (server, _client) = start().await;
    let mut health = HealthClient::new(connect(&server).await);
    for service in ["evenkeel.v1", "evenkeel.v1.TensorOpsService2"] {
        refusal(health.check(named(service)).await, Code::NotFound);
    }
}

/// As the health protocol demands: the stream of an unknown service stays open, since the service may be added later.
#[tokio::test]
async fn who_watches_an_unknown_service_is_told_so_and_waits() {
    let (server, _client) = start().await;
    let mut health = HealthClient::new(connect(&server).await);
    let mut watch = health.watch(named("nobody")).await.expect("any name can be watched").into_inner();
    let now = watch.message().await.expect("the stream is open").expect("it begins with the status");
    assert_eq!(now.status(), ServingStatus::ServiceUnknown);
    let more = tokio::spawn(async move { watch.message().await });
    health.check(named("")).await.expect("it serves");
    assert!(!more.is_finished(), "the stream stays open");
    server.shutdown_and_wait().await.expect("nothing is in flight");
    assert_eq!(more.await.expect("no panic").expect("the stream ends well"), None);
}

#[tokio::test]
async fn watchers_are_told_of_the_shutdown_and_do_not_delay_it() {
    let (server, _client) = start().await;
    let mut health = HealthClient::new(connect(&server).await);
    let mut watches = Vec::new();
    for service in ["", "evenkeel.v1.TensorOpsService"] {
        let mut watch = health.watch(named(service)).await.expect("the name is known").into_inner();
        let now = watch.message().await.expect("the stream is open").expect("it begins with the status");
        assert_eq!(now.status(), ServingStatus::Serving);
        watches.push(watch);
    }
    // If the streams stayed open, this would wait for the drain timeout and fail.
    server.shutdown_and_wait().await.expect("nothing is in flight");
    for mut watch in watches {
        let then = watch.message().await.expect("the stream is open").expect("a change is told");
        assert_eq!(then.status(), ServingStatus::NotServing);
        assert_eq!(watch.message().await.expect("the stream ends well"), None);
    }
}
