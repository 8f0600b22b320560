//! Outputs: an error of their paths comes before anything is computed, several are written together or not at all, and
//! nothing is left behind.

use std::{
    fs::{self, File, Permissions},
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener},
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, symlink},
        process::CommandExt as _,
    },
    process::Stdio,
    thread,
    time::Instant,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    TestResult,
    environment::without_environment,
    npy,
    program::{Folder, ServerProcess},
    stored,
    until::until_some_here,
};

fn folder() -> Result<Folder, io::Error> {
    let folder = Folder::new()?;
    folder.write("x.npy", &npy::f32s("(2,)", [3.0, 4.0]))?;
    Ok(folder)
}

/// `rustix` has no `mkfifo`.
fn fifo(folder: &Folder, name: &str) -> TestResult {
    rustix::fs::mknodat(
        rustix::fs::CWD,
        folder.path(name),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )?;
    Ok(())
}

/// The server would refuse the call, so an error of the output shows that the output was checked first.
#[test]
fn what_cannot_be_written_is_found_before_anything_is_computed() -> TestResult {
    let folder = folder()?;
    fs::create_dir_all(folder.path("folder.npy/x.npy"))?;
    folder.write("readonly.npy", b"mine")?;
    fs::set_permissions(folder.path("readonly.npy"), Permissions::from_mode(0o444))?;
    let long = format!("{}.npy", "n".repeat(300));
    let server = ServerProcess::start(&[])?;
    let before = folder.list()?;
    for (output, words) in [
        ("missing/y.npy", ["missing/y.npy: cannot write: ", "No such file"]),
        ("folder.npy", ["cannot write: ", "it is a folder"]),
        ("readonly.npy", ["readonly.npy: cannot write: ", "it is read-only"]),
        (&*long, ["cannot write: ", "name too long"]),
        ("x.npy/y.npy", ["x.npy/y.npy: cannot write: ", "Not a directory"]),
        ("/proc/y.npy", ["/proc/y.npy: cannot write: ", ""]),
    ] {
        // The server refuses `--p 7`.
        for command in ["dropout x.npy --p 7 -o", "dropout x.npy --p 7 -o y.npy --mask"] {
            let run = folder.run(&format!("{command} {output} --server {}", server.url))?;
            assert_eq!(run.code, Some(1), "{}", run.stderr);
            for word in words {
                // A user does not know the temporary file, and the message does not name it.
                assert!(!run.stderr.contains(".evenkeel-"), "{}", run.stderr);
                assert!(run.stderr.to_lowercase().contains(&word.to_lowercase()), "{word}: {}", run.stderr);
            }
            assert_eq!(folder.list()?, before, "{command} {output}");
        }
    }
    assert_eq!(folder.read("readonly.npy")?, b"mine");
    Ok(())
}

#[test]
fn no_room_is_found_before_anything_is_computed() -> TestResult {
    let folder = Folder::new()?;
    folder.write("x.npy", &npy::f32s("(100000,)", (0..100_000).map(|i| i as f32)))?;
    let run = folder.within("ulimit -f 64", "dropout x.npy --p 7")?;
    run.failed(1, &["x.dropout.npy: cannot write: ", "File too large"]);
    assert_eq!(folder.list()?, ["x.npy"]);
    // A device has no room that could be reserved.
    folder.run("clip x.npy -o /dev/full")?.failed(1, &["/dev/full: cannot write: ", "No space left"]);
    folder.run("clip x.npy -o /dev/null")?.succeeded();
    assert_eq!(folder.list()?, ["x.npy"]);
    Ok(())
}

#[test]
fn several_outputs_are_written_together_or_not_at_all() -> TestResult {
    let folder = folder()?;
    for (command, code) in [
        ("dropout x.npy -o y.npy --mask missing/m.npy", 1),
        ("normalize x.npy --kind layer -o y.npy --statistics missing/s.safetensors", 1),
        ("dropout x.npy -o y.npy --mask /dev/full", 1),
    ] {
        assert_eq!(folder.run(command)?.code, Some(code), "{command}");
        assert_eq!(folder.list()?, ["x.npy"], "{command}");
    }
    folder.run("dropout x.npy -o y.npy --mask m.npy")?.succeeded();
    assert_eq!(folder.list()?, ["m.npy", "x.npy", "y.npy"]);
    Ok(())
}

#[test]
fn links_are_followed_and_modes_kept() -> TestResult {
    let folder = folder()?;
    folder.write("real.npy", b"before")?;
    fs::set_permissions(folder.path("real.npy"), Permissions::from_mode(0o640))?;
    fs::create_dir(folder.path("sub"))?;
    symlink("../real.npy", folder.path("sub/link.npy"))?;
    symlink("sub/link.npy", folder.path("link.npy"))?;
    symlink("sub/new.npy", folder.path("dangling.npy"))?;
    symlink("loop.npy", folder.path("loop.npy"))?;
    folder.run("clip x.npy -o link.npy")?.succeeded();
    assert!(folder.path("link.npy").symlink_metadata()?.is_symlink());
    let real = fs::metadata(folder.path("real.npy"))?;
    assert_eq!((real.mode() & 0o7777, real.is_file()), (0o640, true));
    assert_eq!(npy::read_f32s(&folder.read("real.npy")?, "(2,)")?.len(), 2);
    folder.run("clip x.npy -o dangling.npy")?.succeeded();
    assert!(folder.path("dangling.npy").symlink_metadata()?.is_symlink());
    assert_eq!(folder.read("sub/new.npy")?, folder.read("real.npy")?);
    folder.run("clip x.npy -o loop.npy")?.failed(1, &["loop.npy: cannot write: "]);
    // The input is kept under each of its names.
    symlink("x.npy", folder.path("input.npy"))?;
    folder.run("clip input.npy -o x.npy")?.failed(64, &["--output", "would overwrite"]);
    fs::set_permissions(folder.path("real.npy"), Permissions::from_mode(0o600))?;
    folder.run("dropout x.npy -o y.npy --mask real.npy")?.succeeded();
    assert_eq!(fs::metadata(folder.path("real.npy"))?.mode() & 0o7777, 0o600);
    Ok(())
}

#[test]
fn pipes_and_standard_input_and_output() -> TestResult {
    let folder = folder()?;
    folder.run("clip x.npy -o expected.npy")?.succeeded();
    folder.run("clip x.npy -o expected.safetensors")?.succeeded();
    let expected = folder.read("expected.npy")?;

    let mut child = folder
        .command()
        .args(["clip", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().ok_or("no pipe")?.write_all(&folder.read("x.npy")?)?;
    let output = child.wait_with_output()?;
    let table = String::from_utf8(output.stderr)?;
    assert_eq!((output.status.code(), output.stdout == expected), (Some(0), true), "{table}");
    assert!(table.contains("total norm 5.00000") && table.contains("stdin"), "{table}");

    // Safetensors by standard input, to a file of the other format; and out again, quietly.
    let mut child =
        folder.command().args(["clip", "-", "-o", "back.npy", "--threshold", "inf"]).stdin(Stdio::piped()).spawn()?;
    child.stdin.take().ok_or("no pipe")?.write_all(&folder.read("expected.safetensors")?)?;
    assert!(child.wait()?.success());
    assert_eq!(folder.read("back.npy")?, expected);
    let output = folder.command().args(["clip", "x.npy", "-o", "-", "--quiet"]).output()?;
    assert!(output.stdout == expected && output.stderr.is_empty());

    for (name, argument) in [("in.npy", "in.npy"), ("nameless", "nameless")] {
        fifo(&folder, name)?;
        let (path, bytes) = (folder.path(name), folder.read("x.npy")?);
        let writer = thread::spawn(move || File::options().write(true).open(path)?.write_all(&bytes));
        folder.run(&format!("clip {argument} -o from_fifo.npy"))?.succeeded();
        writer.join().map_err(|_| "the writer panicked")??;
        assert_eq!(folder.read("from_fifo.npy")?, expected);
    }
    fifo(&folder, "out.npy")?;
    let path = folder.path("out.npy");
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        File::open(path)?.read_to_end(&mut bytes).map(|_| bytes)
    });
    folder.run("clip x.npy -o out.npy")?.succeeded();
    assert_eq!(reader.join().map_err(|_| "the reader panicked")??, expected);
    let kept = fs::symlink_metadata(folder.path("out.npy"))?.mode() & 0o170_000;
    assert_eq!(kept, 0o010_000, "it is no pipe any more");
    Ok(())
}

/// The command waits for a reader of the mask's pipe, and is interrupted then.
#[test]
fn an_interrupted_command_leaves_nothing() -> TestResult {
    for (signal, code) in [(Signal::INT, 130), (Signal::QUIT, 131), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let folder = folder()?;
        fifo(&folder, "mask.npy")?;
        // The mask's pipe has no reader: the result's file is open by then.
        let child = folder
            .command()
            .args(["dropout", "x.npy", "-o", "y.npy", "--mask", "mask.npy"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        until_some_here("the result's file is open", || match folder.list() {
            Ok(names) => names.iter().any(|name| name.starts_with(".evenkeel-")).then_some(Ok(())),
            Err(error) => Some(Err(error)),
        })?;
        kill_process(Pid::from_child(&child), signal)?;
        let output = child.wait_with_output()?;
        let said = String::from_utf8(output.stderr)?;
        assert_eq!((output.status.code(), said.contains("interrupted")), (Some(code), true), "{said}");
        assert_eq!(folder.list()?, ["mask.npy", "x.npy"]);
    }
    Ok(())
}

/// The command prints one line, or nothing if the signal comes before it is caught.
#[test]
fn a_command_can_be_interrupted_at_any_moment() -> TestResult {
    let folder = Folder::new()?;
    folder.write("x.npy", &npy::f32s("(3000, 100)", (0..300_000).map(|i| i as f32)))?;
    let start = Instant::now();
    folder.run("dropout x.npy -o y.npy --mask m.npy --quiet")?.succeeded();
    let whole = start.elapsed();
    for name in ["y.npy", "m.npy"] {
        fs::remove_file(folder.path(name))?;
    }
    let mut interrupted = 0;
    for step in 0..40 {
        let moment = whole * step / 40;
        let child = folder
            .command()
            .args(["dropout", "x.npy", "-o", "y.npy", "--mask", "m.npy", "--quiet"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        #[expect(
            clippy::disallowed_methods,
            reason = "a moment by the clock is meant, whatever the command does then"
        )]
        thread::sleep(moment);
        // It may have ended by itself.
        let _ = kill_process(Pid::from_child(&child), Signal::INT);
        let output = child.wait_with_output()?;
        let said = String::from_utf8(output.stderr)?;
        let names = folder.list()?;
        let is_written = names == ["m.npy", "x.npy", "y.npy"];
        assert!(is_written || names == ["x.npy"], "after {moment:?}: {names:?}");
        match output.status.code() {
            Some(130) => {
                interrupted += 1;
                assert!(said.starts_with("evenkeel: interrupted: ") && said.lines().count() == 1, "{said}");
                assert!(!is_written || !said.contains("nothing was written"), "{said}");
            }
            Some(0) => assert!(is_written && said.is_empty(), "{said}"),
            code => assert!(code.is_none() && said.is_empty(), "{code:?}: {said}"),
        }
        for name in names.iter().filter(|name| *name != "x.npy") {
            fs::remove_file(folder.path(name))?;
        }
    }
    assert!(interrupted > 0, "each has ended before the signal came, or before it was caught");
    Ok(())
}

/// The command waits for a server that has taken the connection and sends nothing.
#[test]
fn a_command_that_waits_for_its_server_can_be_interrupted() -> TestResult {
    let folder = folder()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let url = format!("http://{}", listener.local_addr()?);
    let child = folder.command().args(["clip", "x.npy", "--connect-timeout", "10m", "--server", &url]).spawn()?;
    let (_connection, _) = listener.accept()?;
    kill_process(Pid::from_child(&child), Signal::TERM)?;
    assert_eq!(child.wait_with_output()?.status.code(), Some(143));
    assert_eq!(folder.list()?, ["x.npy"]);
    Ok(())
}

#[test]
fn a_set_of_shards_is_not_written() -> TestResult {
    let folder = folder()?;
    folder.run("clip x.npy -o y.safetensors.index.json")?.failed(64, &["--output", "several files"]);
    folder.write("w.safetensors", &stored::file(&[("a", &[1], &[1.0])], &[])?)?;
    folder.run("clip w.safetensors --exclude a -o y.npy")?.failed(64, &["--exclude: there is nothing to compute"]);
    Ok(())
}

/// In a sticky folder, such as `/tmp`, a user may neither replace another's file nor remove a second name of it. Only root can
/// be two users.
#[test]
fn another_users_file_in_a_sticky_folder_is_found_before_anything_is_computed() -> TestResult {
    const NOBODY: u32 = 65_534;
    if !rustix::process::geteuid().is_root() {
        // Written directly, since the harness hides the captured output of a test that passes.
        return Ok(io::stderr().write_all(b"not compared: another user's file in a sticky folder, which needs root\n")?);
    }
    let folder = folder()?;
    fs::set_permissions(folder.path(""), Permissions::from_mode(0o1777))?;
    folder.write("y.npy", b"root's")?;
    fs::set_permissions(folder.path("y.npy"), Permissions::from_mode(0o666))?;
    // Another user may not reach the folder of the program.
    fs::copy(env!("CARGO_BIN_EXE_evenkeel"), folder.path("evenkeel"))?;
    let before = folder.list()?;
    for arguments in [&["clip", "x.npy", "-o", "y.npy"][..], &["dropout", "x.npy", "-o", "z.npy", "--mask", "y.npy"]] {
        let mut command = without_environment(folder.path("evenkeel"));
        let output = command.current_dir(folder.path("")).args(arguments).uid(NOBODY).gid(NOBODY).output()?;
        let said = String::from_utf8(output.stderr)?;
        assert!(
            output.status.code() == Some(1) && said.contains("y.npy: cannot write: it is another user's"),
            "{said}"
        );
        assert_eq!(folder.list()?, before);
    }
    assert_eq!(folder.read("y.npy")?, b"root's");
    Ok(())
}

/// The content of a pipe is kept in a temporary file, which no argument names.
#[test]
fn the_folder_for_temporary_files_is_named() -> TestResult {
    let folder = folder()?;
    let nowhere = folder.path("nowhere").to_string_lossy().into_owned();
    let run = folder.run_with(&[("TMPDIR", &nowhere)], "clip x.npy -o -")?;
    run.failed(1, &["-: cannot write: in the folder for temporary files, ", "nowhere (TMPDIR): No such file"]);
    let run = folder.run_with(&[("TMPDIR", &nowhere)], "clip -")?;
    run.failed(1, &["-: in the folder for temporary files, ", "nowhere (TMPDIR): No such file"]);
    assert!(!run.stderr.contains("at path"), "{}", run.stderr);
    Ok(())
}
