//! `evenkeel load`: against a server, and against one whose answers the test sends.

mod reports;
mod schedules;

use std::process::{Child, Stdio};

use serde_json::Value;

use crate::{
    TestResult,
    program::{Folder, Run, ServerProcess},
    socket_folder::socket_folder,
    stub::Stub,
};

/// The report, as JSON.
fn report(run: &Run) -> Result<Value, serde_json::Error> {
    serde_json::from_str(&run.stdout)
}

/// A load of a stub, which is still running.
fn against(folder: &Folder, stub: &Stub, arguments: &str) -> Result<Child, std::io::Error> {
    let mut command = folder.command();
    let format = if arguments.contains("--format") { &[][..] } else { &["--format", "json"] };
    command.args(["load", "--server", &stub.address.to_string()]).args(format);
    command.args(arguments.split_whitespace()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
}

/// What the program has printed when it has ended.
fn ended(child: Child) -> Result<Run, Box<dyn std::error::Error>> {
    let output = child.wait_with_output()?;
    let (stdout, stderr) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    Ok(Run { code: output.status.code(), stdout, stderr })
}

#[test]
fn calls_of_every_kind_succeed_and_are_counted() -> TestResult {
    let (folder, server) = (Folder::new()?, ServerProcess::start(&[])?);
    for call in [
        "Normalize --shape 4,8 --with weight,bias",
        "Normalize --shape 4,8,2 --set kind=batch --with running",
        "Normalize --shape 4,8 --set kind=l2 --float-data",
        "NormalizeBackward --shape 4,8,2 --set kind=group --set groups=2 --with weight",
        "Dropout --shape 64 --dtype bfloat16 --set return_mask=true",
        "DropoutBackward --shape 4,8,2 --set kind=channel",
        "ClipGradients --shape 4,8 --shape 3 --set mode=value",
        "MeasureGradients --shape 64 --dtype float64",
        "MeasureStatistics --shape 4,8,2 --set kind=batch --backward --chunk 20",
        "NormalizeStream --shape 40,80 --chunk 700",
        "DropoutStream --shape 4000 --chunk 900 --set return_mask=true",
        "DropoutStream --shape 4000 --backward",
        "ClipGradientsStream --shape 400 --shape 30,3 --set threshold=0.5 --chunk 64",
        "GetServerInfo",
        "grpc.health.v1.Health/Check",
    ] {
        let run = folder
            .run(&format!("load --server {} -n 30 -c 4 --connections 2 --check -O json --call {call}", server.url))?;
        run.succeeded();
        let report = report(&run)?;
        assert_eq!(report["statusCodeDistribution"], serde_json::json!({ "OK": 30 }), "{call}");
        assert_eq!((&report["count"], &report["errorDistribution"]), (&30.into(), &serde_json::json!({})), "{call}");
        assert_eq!((&report["endReason"], &report["wrongAnswers"]), (&"normal".into(), &0.into()), "{call}");
        assert!(report["bytes"]["received"].as_u64() >= Some(30 * 5), "{call}");
    }
    Ok(())
}

#[test]
fn a_socket_of_a_unix_domain_is_loaded_as_well() -> TestResult {
    let (folder, sockets) = (Folder::new()?, socket_folder());
    let address = format!("unix:{}", sockets.path().join("socket").display());
    let server = ServerProcess::start_at(&address, &[])?;
    let run = folder
        .run(&format!("load --server {address} -n 10 -c 2 --call NormalizeStream --shape 8,8 --check -O json"))?;
    run.succeeded();
    let report = report(&run)?;
    assert_eq!(report["statusCodeDistribution"]["OK"], 10);
    // Its process is found by the socket.
    assert_eq!(report["serverCpu"]["pid"], server.pid());
    Ok(())
}

#[test]
fn errors_are_counted_by_their_status() -> TestResult {
    let (folder, server) = (Folder::new()?, ServerProcess::start(&[])?);
    let run = folder.run(&format!("load --server {} -n 5 --shape 2,2 --set eps=-1 -O json", server.url))?;
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), "evenkeel: none of 5 calls succeeded\n"));
    let all = report(&run)?;
    assert_eq!(all["statusCodeDistribution"], serde_json::json!({ "InvalidArgument": 5 }));
    let (errors, count) = (all["errorDistribution"].as_object().ok_or("no errors")?, &all["count"]);
    assert_eq!((errors.len(), count), (1, &5.into()));
    let (error, count) = errors.iter().next().ok_or("no error")?;
    assert!(error.contains("code = InvalidArgument") && error.contains("eps") && count == 5, "{error}: {count}");
    // Their latencies count only if that is asked for.
    assert_eq!(all["latencyDistribution"], serde_json::json!([]));

    let stub = Stub::start();
    let load = against(&folder, &stub, "-n 3 -c 1 --count-errors")?;
    stub.call().answer(b"x");
    stub.call().fail("8", "busy");
    stub.call().fail("8", "busy");
    let run = ended(load)?;
    run.succeeded();
    let all = report(&run)?;
    assert_eq!(all["statusCodeDistribution"], serde_json::json!({ "OK": 1, "ResourceExhausted": 2 }));
    assert_eq!(all["errorDistribution"], serde_json::json!({ "rpc error: code = ResourceExhausted desc = busy": 2 }));
    assert_eq!(all["histogram"].as_array().ok_or("none")?.iter().filter_map(|it| it["count"].as_u64()).sum::<u64>(), 3);
    Ok(())
}

#[test]
fn an_answer_that_differs_is_an_error() -> TestResult {
    let folder = Folder::new()?;
    for (flags, answer, is_wrong) in [("", &b"xyz"[..], false), ("--check", b"xyz", true), ("", b"xyzz", true)] {
        let stub = Stub::start();
        let load = against(&folder, &stub, &format!("-n 2 -c 1 {flags}"))?;
        stub.call().answer(b"abc");
        stub.call().answer(answer);
        let run = ended(load)?;
        assert_eq!(report(&run)?["wrongAnswers"], u64::from(is_wrong), "{flags}");
        assert_eq!(
            (run.code, run.stderr.contains("1 of 2 answers")),
            (Some(i32::from(is_wrong)), is_wrong),
            "{}",
            run.stderr
        );
    }
    Ok(())
}

#[test]
fn a_server_that_is_not_there_is_named() -> TestResult {
    let folder = Folder::new()?;
    let run = folder.run("load --server 127.0.0.1:1 -n 1")?;
    run.failed(1, &["127.0.0.1:1", "cannot connect"]);
    // It goes away while calls are on their way.
    let stub = Stub::start();
    let load = against(&folder, &stub, "-n 10 -c 2 --connections 2")?;
    let held = [stub.call(), stub.call()];
    drop(stub);
    drop(held);
    let run = ended(load)?;
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    let report = report(&run)?;
    assert_eq!((&report["endReason"], &report["lostConnections"]), (&"disconnected".into(), &2.into()));
    assert_eq!(report["count"], 2, "{report}");
    assert_eq!(report["statusCodeDistribution"]["OK"], Value::Null, "{report}");
    Ok(())
}

#[test]
fn requests_are_read_from_files() -> TestResult {
    let (folder, server) = (Folder::new()?, ServerProcess::start(&[])?);
    for call in ["Normalize", "ClipGradientsStream"] {
        for (name, flag) in [("x.json", "--data-file"), ("x.bin", "--binary-file")] {
            folder.run(&format!("payload {call} --shape 4,4 -o {name}"))?.succeeded();
            let run = folder.run(&format!("load --server {} -n 3 --call {call} {flag} {name} -O json", server.url))?;
            run.succeeded();
            assert_eq!(report(&run)?["statusCodeDistribution"]["OK"], 3, "{call} {name}");
        }
    }
    folder.write("none.json", b"{\"inputs\": {}}")?;
    folder.write("two.json", b"{}{}")?;
    folder.write("none.bin", b"\xFF\xFF")?;
    for (flags, words) in [
        ("-D none.json", &["none.json", "NormalizeRequest", "inputs"][..]),
        ("-D two.json", &["two.json", "2 messages"]),
        ("-B none.bin", &["none.bin", "NormalizeRequest"]),
        ("-B none.bin --call DropoutStream", &["none.bin", "DropoutStreamRequest"]),
        ("-D missing.json", &["missing.json", "cannot read"]),
    ] {
        folder.run(&format!("load --server {} -n 1 {flags}", server.url))?.failed(1, words);
    }
    Ok(())
}

/// The first signal ends a load, whose report is on what was done.
#[test]
fn an_interrupted_load_reports_what_was_done() -> TestResult {
    let (folder, stub) = (Folder::new()?, Stub::start());
    let load = against(&folder, &stub, "--duration 1h -c 1")?;
    stub.call().answer(b"x");
    stub.call().answer(b"x");
    let held = stub.call();
    let pid = rustix::process::Pid::from_child(&load);
    rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
    let run = ended(load)?;
    drop(held);
    assert_eq!((run.code, run.stderr.as_str()), (Some(130), ""));
    let report = report(&run)?;
    assert_eq!((&report["count"], &report["unfinished"]), (&2.into(), &1.into()));
    assert_eq!((&report["endReason"], &report["statusCodeDistribution"]["OK"]), (&"cancel".into(), &2.into()));
    Ok(())
}

#[test]
fn a_token_is_sent_to_this_machine_only() -> TestResult {
    let folder = Folder::new()?;
    folder.write("tokens", b"# a comment\nsecret\n")?;
    let file = folder.path("tokens");
    let server = ServerProcess::start(&["--auth-token-file", &file.display().to_string()])?;
    let run = folder.run(&format!("load --server {} -n 2 --shape 2 -O json", server.url))?;
    assert_eq!(report(&run)?["statusCodeDistribution"], serde_json::json!({ "Unauthenticated": 2 }));
    let run = folder.run(&format!("load --server {} -n 2 --shape 2 --token-file tokens -O json", server.url))?;
    run.succeeded();
    assert_eq!(report(&run)?["statusCodeDistribution"], serde_json::json!({ "OK": 2 }));
    folder
        .run("load --server 192.0.2.1:1 --token-file tokens -n 1")?
        .failed(64, &["--token-file", "--allow-plaintext"]);
    Ok(())
}
