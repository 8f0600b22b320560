//! Files and streams that block, or that must not: nothing makes a command deaf to signals, and nothing that it prints is lost.

use std::{
    fs, io,
    io::{PipeReader, PipeWriter, Read as _, Write as _},
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, Stdio},
};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, fcntl_getfl, fcntl_setfl, mknodat},
    process::{Pid, Signal, kill_process},
};

use crate::{
    TestResult, npy,
    program::{Folder, ServerProcess},
    until::until_some_here,
};

/// A folder with a small array, an array that is longer than a pipe's buffer, and a named pipe without a writer.
fn folder() -> Result<Folder, Box<dyn std::error::Error>> {
    let folder = Folder::new()?;
    folder.write("x.npy", &npy::f32s("(2,)", [3.0, 4.0]))?;
    folder.write("large.npy", &npy::f32s("(100000,)", (0..100_000).map(|i| i as f32)))?;
    mknodat(CWD, folder.path("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
    Ok(folder)
}

/// A full pipe, and the number of bytes in it. A write to it fails with `WouldBlock`.
fn full() -> Result<(PipeReader, PipeWriter, usize), io::Error> {
    let (reader, mut writer) = io::pipe()?;
    fcntl_setfl(&writer, fcntl_getfl(&writer)? | OFlags::NONBLOCK)?;
    let mut count = 0;
    loop {
        match writer.write(&[b'-'; 4096]) {
            Ok(written) => count += written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok((reader, writer, count)),
            Err(error) => return Err(error),
        }
    }
}

/// The same, but a write to it blocks.
fn full_and_blocking() -> Result<(PipeReader, PipeWriter), io::Error> {
    let (reader, writer, _) = full()?;
    fcntl_setfl(&writer, fcntl_getfl(&writer)? - OFlags::NONBLOCK)?;
    Ok((reader, writer))
}

/// The files of this name of all threads of a process.
fn of_threads(child: &Child, name: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", child.id())).into_iter().flatten().flatten();
    tasks.filter_map(|task| fs::read_to_string(task.path().join(name)).ok()).collect()
}

/// Waits until a process has ended, or waits itself: all its threads sleep.
fn until_it_rests(child: &mut Child) -> TestResult {
    until_some_here("the command rests", || match child.try_wait() {
        Ok(None) => {
            let states = of_threads(child, "stat");
            let sleeps = |stat: &String| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S'));
            (!states.is_empty() && states.iter().all(sleeps)).then_some(Ok(()))
        }
        Ok(Some(_)) => Some(Ok(())),
        Err(error) => Some(Err(error)),
    })?;
    Ok(())
}

/// Waits until a process has a thread of this name.
fn until_it_has(child: &Child, thread: &str) {
    until_some_here("the command has such a thread", || {
        of_threads(child, "comm").iter().any(|name| name.trim() == thread).then_some(())
    });
}

/// Waits until a process catches a signal.
fn until_it_catches(child: &Child, signal: Signal) {
    until_some_here("the command catches the signal", || {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
        let caught = u64::from_str_radix(caught.trim(), 16).ok()?;
        (caught >> (signal.as_raw() - 1) & 1 == 1).then_some(())
    });
}

#[test]
fn a_standard_output_that_must_not_block_is_waited_for() -> TestResult {
    let (folder, server) = (folder()?, ServerProcess::start(&[])?);
    let health = format!("health --server {}", server.url);
    let commands = [
        "clip large.npy -o -",
        "clip x.npy -o y.npy",
        "man",
        "completions bash",
        "--help",
        "clip --help",
        "config",
        &health,
    ];
    for command in commands {
        let (mut reader, writer, before) = full()?;
        let mut child = folder.command().args(command.split(' ')).stdout(writer).stderr(Stdio::piped()).spawn()?;
        until_it_rests(&mut child)?;
        let mut read = Vec::new();
        reader.read_to_end(&mut read)?;
        let expected = folder.command().args(command.split(' ')).output()?.stdout;
        assert!(read[before..] == expected && !expected.is_empty(), "{command}: {} bytes", read.len() - before);
        let output = child.wait_with_output()?;
        assert_eq!(output.status.code(), Some(0), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
    // And an error on standard error.
    let (mut reader, writer, before) = full()?;
    let mut child = folder.command().args(["clip", "missing.npy"]).stderr(writer).spawn()?;
    until_it_rests(&mut child)?;
    let mut read = String::new();
    reader.read_to_string(&mut read)?;
    assert!(read[before..].contains("missing.npy: "), "{}", &read[before..]);
    assert_eq!(child.wait()?.code(), Some(1));
    Ok(())
}

#[test]
fn a_standard_input_that_must_not_block_is_waited_for() -> TestResult {
    let folder = folder()?;
    let (reader, mut writer) = io::pipe()?;
    fcntl_setfl(&reader, fcntl_getfl(&reader)? | OFlags::NONBLOCK)?;
    let mut child = folder.command().args(["clip", "-", "-o", "y.npy"]).stdin(reader).stdout(Stdio::null()).spawn()?;
    until_it_rests(&mut child)?;
    writer.write_all(&folder.read("x.npy")?)?;
    drop(writer);
    assert_eq!(child.wait()?.code(), Some(0));
    assert_eq!(folder.list()?, ["large.npy", "pipe", "x.npy", "y.npy"]);
    Ok(())
}

#[test]
fn a_file_that_blocks_keeps_no_command() -> TestResult {
    let folder = folder()?;
    let flags = ["--tls-ca pipe", "--tls-cert pipe", "--tls-key pipe", "--token-file pipe"];
    for flag in flags {
        let https = if flag.contains("tls") { "https" } else { "http" };
        for signal in [Signal::TERM, Signal::INT] {
            let command = format!("clip x.npy -o y.npy --server {https}://127.0.0.1:1 {flag}");
            let child = folder.command().args(command.split(' ')).stderr(Stdio::piped()).spawn()?;
            until_it_has(&child, "read");
            kill_process(Pid::from_child(&child), signal)?;
            let output = child.wait_with_output()?;
            let said = String::from_utf8(output.stderr)?;
            assert_eq!(output.status.code(), Some(128 + signal.as_raw()), "{command}: {said}");
            assert!(said.contains("interrupted: nothing was written"), "{said}");
        }
        let health = format!("health --server {https}://127.0.0.1:1 {flag}");
        let mut child = folder.command().args(health.split(' ')).args(["--timeout", "1h"]).spawn()?;
        until_it_has(&child, "read");
        kill_process(Pid::from_child(&child), Signal::TERM)?;
        assert_eq!(child.wait()?.signal(), Some(Signal::TERM.as_raw()), "{health}");
        folder.run(&format!("{health} --timeout 100ms"))?.failed(1, &["no answer within 100ms"]);
    }
    let late = "reading it did not end within 5s";
    folder
        .run("clip x.npy --server 127.0.0.1:1 --token-file pipe")?
        .failed(64, &["--token-file: cannot read pipe: ", late]);
    // A file that a variable of the system names may block as well.
    let health = "health --timeout 100ms --server https://127.0.0.1:1";
    folder.run_with(&[("SSL_CERT_FILE", "pipe")], health)?.failed(1, &["no answer within 100ms"]);
    Ok(())
}

#[test]
fn a_table_that_nobody_reads_keeps_no_command() -> TestResult {
    let folder = folder()?;
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 129)] {
        let (_reader, writer) = full_and_blocking()?;
        let child =
            folder.command().args(["clip", "x.npy", "--force"]).stdout(writer).stderr(Stdio::piped()).spawn()?;
        until_it_has(&child, "print");
        kill_process(Pid::from_child(&child), signal)?;
        let output = child.wait_with_output()?;
        let said = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains("interrupted: everything was written"), "{said}");
        assert!(folder.list()?.contains(&"x.clipped.npy".to_owned()));
        // An error that is not read does not keep the command, either.
        let (_reader, writer) = full_and_blocking()?;
        let mut child = folder.command().args(["clip", "missing.npy"]).stderr(writer).spawn()?;
        until_it_catches(&child, signal);
        until_it_rests(&mut child)?;
        kill_process(Pid::from_child(&child), signal)?;
        assert_eq!(child.wait()?.code(), Some(code));
    }
    Ok(())
}

#[test]
fn what_was_delivered_is_not_denied() -> TestResult {
    let folder = folder()?;
    let (mut reader, writer) = io::pipe()?;
    let mut child =
        folder.command().args(["clip", "large.npy", "-o", "-"]).stdout(writer).stderr(Stdio::piped()).spawn()?;
    let mut some = [0; 100];
    reader.read_exact(&mut some)?;
    until_it_rests(&mut child)?;
    kill_process(Pid::from_child(&child), Signal::TERM)?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(143), "{said}");
    assert!(said.contains("interrupted: part of the result may have been delivered"), "{said}");
    Ok(())
}

#[test]
fn a_command_that_is_not_to_end_with_its_terminal_goes_on() -> TestResult {
    let folder = folder()?;
    let mut command = Command::new("sh");
    let script = "trap '' HUP; exec \"$0\" clip x.npy -o pipe --quiet";
    let mut child =
        command.args(["-c", script, env!("CARGO_BIN_EXE_evenkeel")]).current_dir(folder.path("")).spawn()?;
    until_it_catches(&child, Signal::TERM);
    until_it_rests(&mut child)?;
    kill_process(Pid::from_child(&child), Signal::HUP)?;
    let mut delivered = Vec::new();
    fs::File::open(folder.path("pipe"))?.read_to_end(&mut delivered)?;
    assert_eq!((child.wait()?.code(), delivered.len()), (Some(0), folder.read("x.npy")?.len()));
    Ok(())
}
