//! Open loops, and flags that do not fit together.

use std::time::Duration;

use super::{against, ended, report};
use crate::{
    TestResult,
    program::{Folder, ServerProcess},
    stub::{Held, Stub},
};

/// The server takes every call, and answers none until all have come. The schedule is kept: each call has waited as long as the
/// ones after it took to become due.
#[test]
fn an_open_loop_does_not_wait_for_a_server_that_stalls() -> TestResult {
    let (folder, stub) = (Folder::new()?, Stub::start());
    let load = against(&folder, &stub, "--rps 1000 -n 100 -c 100")?;
    let held: Vec<Held> = (0..100).map(|_| stub.call()).collect();
    held.into_iter().for_each(|call| call.answer(b"x"));
    let run = ended(load)?;
    run.succeeded();
    let report = report(&run)?;
    assert_eq!(report["statusCodeDistribution"]["OK"], 100);
    // The last call was due 99 ms after the first one, and 89 after the eleventh.
    assert!(report["slowest"].as_u64() >= Some(98_900_000), "{}", report["slowest"]);
    assert!(report["latencyDistribution"][4]["latency"].as_u64() >= Some(88_000_000), "{report}");
    assert_eq!(report["openLoop"]["neverBegun"], 0);
    Ok(())
}

/// Only one call may be in flight, and its answer comes when all others are due: they wait, and their latencies have it.
#[test]
fn calls_that_wait_for_their_turn_are_late() -> TestResult {
    let (folder, stub) = (Folder::new()?, Stub::start());
    let load = against(&folder, &stub, "--rps 1000 -n 100 -c 1")?;
    let first = stub.call();
    // The pause: when it is over, call 99 is due.
    let pause = Duration::from_millis(100);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(async { tokio::time::sleep(pause).await });
    first.answer(b"x");
    (1..100).for_each(|_| stub.call().answer(b"x"));
    let run = ended(load)?;
    run.succeeded();
    let report = report(&run)?;
    // Call i was due at i ms, and began after the pause.
    assert!(report["slowest"].as_u64() >= Some(99_900_000), "{}", report["slowest"]);
    assert!(report["latencyDistribution"][2]["latency"].as_u64() >= Some(49_000_000), "{report}");
    // When call 1 began, the 98 after it waited; a load that is late itself has one more.
    assert!(report["openLoop"]["mostWaiting"].as_u64() >= Some(98), "{}", report["openLoop"]);
    assert_eq!(report["openLoop"]["neverBegun"], 0);
    Ok(())
}

/// The load ends while its only call in flight is held: those that were due are told apart from those that were made.
#[test]
fn calls_that_were_never_begun_are_counted() -> TestResult {
    let (folder, stub) = (Folder::new()?, Stub::start());
    let load = against(&folder, &stub, "--rps 25 --duration 2s -c 1 --timeout 3s")?;
    let held = stub.call();
    let run = ended(load)?;
    drop(held);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    let report = report(&run)?;
    assert_eq!((&report["count"], &report["openLoop"]["neverBegun"]), (&1.into(), &49.into()));
    assert_eq!(report["statusCodeDistribution"], serde_json::json!({ "DeadlineExceeded": 1 }));
    assert_eq!(report["endReason"], "timeout");
    Ok(())
}

#[test]
fn rates_change_by_their_schedule() -> TestResult {
    let (folder, server) = (Folder::new()?, ServerProcess::start(&[])?);
    let load = format!("load --server {} --shape 2 -c 50 -O json", server.url);
    for (flags, count) in [
        // 100 calls in the first tenth of a second, 200 and 250 in the next ones.
        (
            "--load-schedule step --load-start 1000 --load-step 1000 --load-step-duration 100ms --load-end 2500 -z 300ms",
            550,
        ),
        // 500 t^2 calls.
        ("--load-schedule line --load-step 1000 -z 400ms", 80),
        ("--rps 500 -z 200ms", 100),
    ] {
        let run = folder.run(&format!("{load} {flags}"))?;
        run.succeeded();
        let report = report(&run)?;
        let (made, never) =
            (report["count"].as_u64().ok_or("count")?, report["openLoop"]["neverBegun"].as_u64().ok_or("never")?);
        assert_eq!(made + never, count, "{flags}");
        assert_eq!(report["endReason"], "timeout");
    }
    Ok(())
}

#[test]
fn flags_that_do_not_fit_are_named() -> TestResult {
    let folder = Folder::new()?;
    for (flags, words) in [
        ("--call Normal", &["--call", "ClipGradientsStream"][..]),
        ("-c 0", &["--concurrency"]),
        ("-c 2 --connections 3", &["--connections", "--concurrency"]),
        ("-n 0", &["--total"]),
        ("-n 5 -z 5s", &["--total", "--duration"]),
        ("-z soon", &["--duration"]),
        ("--rps 0", &["--rps", "above 0"]),
        ("--rps NaN", &["--rps"]),
        ("--rps 5 --load-step 3", &["--load-step", "--load-schedule"]),
        ("--load-schedule step --load-start 5 --load-step 1", &["--load-step-duration"]),
        ("--load-schedule step --load-step 1 --load-step-duration 1s", &["--load-start"]),
        ("--load-schedule step --load-start 5 --load-step-duration 1s", &["--load-step"]),
        (
            "--load-schedule step --load-start 5 --load-step 1 --load-step-duration 1ms -z 1h",
            &["--load-step-duration", "10000"],
        ),
        ("--load-schedule line --load-step -1 --load-start 5 --load-end 9", &["--load-end"]),
        ("--load-schedule line --load-step 1 --load-step-duration 1s", &["--load-step-duration", "step"]),
        ("--load-schedule line --load-step 1 --rps 5", &["--rps", "--load-start"]),
        ("--server ftp://a:1", &["--server", "HOST:PORT"]),
        ("--server nonsense", &["--server", "HOST:PORT"]),
        ("-D a -B b", &["--data-file", "--binary-file"]),
        ("-O xml", &["--format", "summary"]),
        ("--shape 2,x", &["--shape"]),
        ("--set epsilon=1", &["--set", "eps"]),
    ] {
        let run = folder.run(&format!("load {flags}"))?;
        assert_eq!((run.code, run.stdout.as_str()), (Some(64), ""), "{flags}: {}", run.stderr);
        for word in words {
            assert!(run.stderr.contains(word), "{flags}: '{word}' is not in: {}", run.stderr);
        }
    }
    Ok(())
}
