//! The client crate's server for the tests of other programs.

use std::{fs, net::TcpStream, os::unix::fs::PermissionsExt, sync::mpsc, thread};

use evenkeel_client::{
    Client, NormKind,
    testing::{StartError, TestServer, TestServerBuilder},
};
use ndarray::array;
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    TestResult,
    program::Folder,
    until::{NEVER, until},
};

fn builder() -> TestServerBuilder {
    TestServer::builder().binary(env!("CARGO_BIN_EXE_evenkeel"))
}

#[tokio::test]
async fn a_server_lives_as_long_as_its_value() -> TestResult {
    let server = builder().flag("--log-level=info").start()?;
    let client = Client::connect(server.url()).await?;
    let normalized = client.normalize(&array![[1.0_f32, 1.0]]).kind(NormKind::Layer).send().await?;
    assert_eq!(normalized.output, array![[0.0, 0.0]]);
    until("the call is in the log", async || server.log().contains("Normalize")).await;
    let address = server.address().to_owned();
    TcpStream::connect(&address)?;
    drop(server);
    assert!(TcpStream::connect(&address).is_err(), "nobody listens there");
    Ok(())
}

#[tokio::test]
async fn a_server_listens_as_it_is_told() -> TestResult {
    let folder = Folder::new()?;
    let socket = format!("unix:{}", folder.path("socket").display());
    let server = builder().flag("--listen").flag(&socket).env("EVENKEEL_MAX_MESSAGE_BYTES", "1048576").start()?;
    assert_eq!(server.url(), socket);
    let info = Client::connect(server.url()).await?.server_info().await?;
    assert_eq!(info.max_message_bytes, 1 << 20);
    Ok(())
}

#[test]
fn a_program_that_does_not_serve_is_told() -> TestResult {
    let folder = Folder::new()?;
    let fault = TestServer::builder().binary(folder.path("none")).start().expect_err("there is no program");
    assert!(matches!(&fault, StartError::Spawn { binary, .. } if *binary == folder.path("none")), "{fault}");
    assert!(fault.to_string().contains("EVENKEEL_BINARY"), "{fault}");
    let fault = builder().flag("--no-such-flag").start().expect_err("there is no such flag");
    assert!(matches!(&fault, StartError::DoesNotListen { output, .. } if output.contains("--no-such-flag")), "{fault}");
    Ok(())
}

/// A process that the program has left behind keeps its pipes open, and stops neither the start nor the end.
#[test]
fn pipes_that_stay_open_stop_nothing() -> TestResult {
    for said in ["nothing", "listening on 127.0.0.1:1"] {
        let folder = Folder::new()?;
        let program = folder.path("program");
        fs::write(&program, format!("#!/bin/sh\nsleep 600 &\necho $! > \"$LEFT\"\necho {said}\n"))?;
        fs::set_permissions(&program, PermissionsExt::from_mode(0o700))?;
        let (done, ended) = mpsc::channel();
        let builder = TestServer::builder().binary(program).env("LEFT", folder.path("left"));
        thread::spawn(move || done.send(builder.start().map(drop).is_ok()));
        let has_started = ended.recv_timeout(NEVER);
        let left = fs::read_to_string(folder.path("left"))?.trim().parse()?;
        kill_process(Pid::from_raw(left).ok_or("a process has a number")?, Signal::KILL)?;
        assert_eq!(has_started?, said != "nothing");
    }
    Ok(())
}
