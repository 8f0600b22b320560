//! No file that is read is written over, and no file is written twice, under any of their names.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    os::unix::fs::symlink,
    process::{Command, Stdio},
};

use crate::{
    TestResult, npy,
    program::{Folder, Run},
    stored,
};

/// An array, and a model in two shards.
fn folder() -> Result<Folder, Box<dyn std::error::Error>> {
    let folder = Folder::new()?;
    folder.write("x.npy", &npy::f32s("(2,)", [3.0, 4.0]))?;
    folder.write("one.safetensors", &stored::file(&[("a", &[2], &[3.0, 4.0])], &[])?)?;
    folder.write("two.safetensors", &stored::file(&[("b", &[2], &[1.0, 2.0])], &[])?)?;
    let index = br#"{"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}"#;
    folder.write("m.safetensors.index.json", index)?;
    Ok(folder)
}

/// Runs a script in a shell, which opens files for the program; `$E` is the program's path.
fn shell(folder: &Folder, script: &str) -> Result<Run, Box<dyn std::error::Error>> {
    let mut command = Command::new("sh");
    command.env_clear().env("E", env!("CARGO_BIN_EXE_evenkeel")).current_dir(folder.path("")).args(["-c", script]);
    let output = command.stdin(Stdio::null()).output()?;
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8(output.stderr)?);
    Ok(Run { code: output.status.code(), stdout: stdout.into_owned(), stderr })
}

#[test]
fn nothing_that_is_read_is_written_over() -> TestResult {
    let folder = folder()?;
    fs::hard_link(folder.path("one.safetensors"), folder.path("hard.safetensors"))?;
    symlink("two.safetensors", folder.path("link.safetensors"))?;
    folder.write("w.safetensors", &stored::file(&[("w", &[2], &[1.0, 1.0])], &[])?)?;
    folder.write("w.safetensors.index.json", br#"{"weight_map": {"w": "w.safetensors"}}"#)?;
    let before = folder.list()?;
    let bytes = |folder: &Folder| before.iter().map(|name| folder.read(name)).collect::<Result<Vec<_>, _>>();
    let contents = bytes(&folder)?;
    for (command, flag) in [
        ("clip m.safetensors.index.json -o one.safetensors", "--output"),
        ("clip m.safetensors.index.json -o hard.safetensors", "--output"),
        ("clip m.safetensors.index.json -o link.safetensors", "--output"),
        ("clip m.safetensors.index.json --tensor a -o two.safetensors", "--output"),
        ("dropout m.safetensors.index.json -o y.safetensors --mask two.safetensors", "--mask"),
        (
            "normalize m.safetensors.index.json --kind layer -o y.safetensors --statistics one.safetensors",
            "--statistics",
        ),
        (
            "normalize x.npy --kind layer --weight w.safetensors.index.json -o y.npy --statistics w.safetensors",
            "--statistics",
        ),
        ("normalize x.npy --kind layer --weight w.safetensors.index.json -o w.safetensors", "--output"),
    ] {
        folder.run(command)?.failed(64, &[&format!("{flag}: "), "would overwrite"]);
        assert_eq!((folder.list()?, bytes(&folder)?), (before.clone(), contents.clone()), "{command}");
    }
    let run = shell(&folder, "\"$E\" clip - -o x.npy < x.npy")?;
    run.failed(64, &["--output: x.npy would overwrite -"]);
    Ok(())
}

#[test]
fn two_outputs_are_two_files() -> TestResult {
    let folder = folder()?;
    symlink("y.npy", folder.path("dangling.npy"))?;
    let before = folder.list()?;
    for (one, other) in [
        ("y.npy", "dangling.npy"),
        ("dangling.npy", "y.npy"),
        ("./y.npy", "y.npy"),
        ("/dev/stdout", "-"),
        ("-", "/dev/stdout"),
        ("/dev/fd/1", "/proc/self/fd/1"),
    ] {
        folder.run(&format!("dropout x.npy -o {one} --mask {other}"))?.failed(64, &["--mask: ", "would overwrite"]);
        assert_eq!(folder.list()?, before, "{one} {other}");
    }
    let run = shell(&folder, "\"$E\" dropout x.npy -o - --mask m.npy > m.npy")?;
    run.failed(64, &["--mask: m.npy would overwrite -"]);
    Ok(())
}

#[test]
fn standard_output_has_the_result_alone_by_any_name() -> TestResult {
    let folder = folder()?;
    folder.run("clip x.npy -o y.npy")?.succeeded();
    let expected = folder.read("y.npy")?;
    for name in ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        let output = folder.command().args(["clip", "x.npy", "-o", name]).output()?;
        let table = String::from_utf8(output.stderr)?;
        assert!(output.status.success() && output.stdout == expected, "{name}: {table}");
        assert!(table.contains("total norm 5.00000"), "{name}: {table}");
        // A regular file that the shell has opened takes the result as a pipe does.
        let (redirected, appended) =
            (format!("\"$E\" clip x.npy -o {name} > z.npy"), format!("\"$E\" clip x.npy -o {name} >> z.npy"));
        for (script, bytes) in [(redirected, expected.clone()), (appended, expected.repeat(2))] {
            let run = shell(&folder, &script)?;
            assert_eq!((run.code, run.stderr.contains("total norm")), (Some(0), true), "{script}: {}", run.stderr);
            assert!(folder.read("z.npy")? == bytes, "{script}");
        }
    }
    let run = shell(&folder, "{ printf before; \"$E\" clip x.npy -o /dev/fd/3 >&2; printf after; } 3> z.npy >&3")?;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(folder.read("z.npy")? == [b"before", &expected[..], b"after"].concat());
    // If the result goes elsewhere, standard output has the table.
    let mut pipe = folder.command().args(["clip", "x.npy", "-o", "/dev/null"]).stdout(Stdio::piped()).spawn()?;
    let mut table = String::new();
    pipe.stdout.take().ok_or("no pipe")?.read_to_string(&mut table)?;
    assert!(pipe.wait()?.success() && table.contains("total norm"), "{table}");
    shell(&folder, "\"$E\" clip x.npy -o /dev/fd/3 3< one.safetensors")?.failed(1, &["/dev/fd/3: cannot write: "]);
    Ok(())
}

/// The error comes before a server is asked: there is none at this port.
#[test]
fn a_name_that_only_a_folder_can_have_is_found_at_once() -> TestResult {
    let folder = folder()?;
    fs::create_dir(folder.path("sub"))?;
    let before = folder.list()?;
    for name in ["sub/y.npy/", "sub/y.npy/.", "y.npy/", "y.npy/.."] {
        for flags in [format!("-o {name}"), format!("-o y.npy --mask {name}")] {
            let run = folder.run(&format!("dropout x.npy --p 7 --server 127.0.0.1:1 {flags}"))?;
            run.failed(1, &[name.trim_end_matches(['.', '/']), "cannot write: there is no such folder"]);
            assert_eq!(folder.list()?, before, "{flags}");
        }
    }
    Ok(())
}

#[test]
fn excluding_everything_leaves_nothing_to_compute() -> TestResult {
    let folder = folder()?;
    let before = folder.list()?;
    for flags in ["--exclude *", "--exclude a --exclude b", "--tensor a --exclude a"] {
        for command in ["clip", "dropout", "normalize --kind layer"] {
            let run = folder.run(&format!("{command} m.safetensors.index.json {flags}"))?;
            run.failed(64, &["--exclude: there is nothing to compute"]);
        }
    }
    assert_eq!(folder.list()?, before);
    Ok(())
}

/// The mask goes to a pipe, and the test changes the input before it opens that pipe to read.
#[test]
fn an_input_that_changes_meanwhile_is_noticed() -> TestResult {
    for (changed, keeps_length) in [("x.npy", true), ("x.npy", false), ("one.safetensors", true)] {
        let folder = folder()?;
        let pipe = folder.path("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )?;
        let input = if changed == "x.npy" { changed } else { "m.safetensors.index.json" };
        let child = folder
            .command()
            .args(["dropout", input, "-o", "y.safetensors", "--mask", "pipe"])
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        // The command waits for a reader once it has read the header.
        crate::until::until_some_here("the result's file is open", || match folder.list() {
            Ok(names) => names.iter().any(|name| name.starts_with(".evenkeel-")).then_some(Ok(())),
            Err(error) => Some(Err(error)),
        })?;
        let mut file = File::options().write(true).open(folder.path(changed))?;
        if keeps_length {
            let bytes = folder.read(changed)?;
            file.write_all(&bytes)?;
        } else {
            file.set_len(file.metadata()?.len() + 1)?;
        }
        drop(file);
        let mut delivered = Vec::new();
        File::open(&pipe)?.read_to_end(&mut delivered)?;
        let output = child.wait_with_output()?;
        let said = String::from_utf8(output.stderr)?;
        assert_eq!((output.status.code(), delivered.len()), (Some(1), 0), "{said}");
        assert!(said.contains(&format!("{changed}: it has changed while it was read")), "{said}");
        assert!(!folder.list()?.contains(&"y.safetensors".to_owned()));
    }
    Ok(())
}

/// A file with a token, a certificate or a key is an input as well, under any name, and also if there is no `--server`.
#[test]
fn files_for_a_server_are_not_written_over() -> TestResult {
    let folder = folder()?;
    folder.write("secret.safetensors", b"a token, a certificate or a key")?;
    symlink("secret.safetensors", folder.path("link.safetensors"))?;
    let before = folder.list()?;
    for flag in ["--tls-ca", "--tls-cert", "--tls-key", "--token-file"] {
        for (command, output) in [
            ("clip x.npy -o link.safetensors", "--output"),
            ("dropout x.npy -o secret.safetensors", "--output"),
            ("dropout x.npy -o y.npy --mask link.safetensors", "--mask"),
            ("normalize x.npy --kind layer -o ./secret.safetensors", "--output"),
            ("normalize x.npy --kind layer -o y.npy --statistics secret.safetensors", "--statistics"),
        ] {
            let run = folder.run(&format!("{command} {flag} secret.safetensors"))?;
            run.failed(64, &[&format!("{output}: "), "would overwrite secret.safetensors"]);
            assert_eq!(folder.list()?, before, "{command} {flag}");
        }
    }
    let variables = [("EVENKEEL_CLIENT_TOKEN_FILE", "secret.safetensors")];
    folder.run_with(&variables, "clip x.npy -o link.safetensors")?.failed(64, &["--output: ", "would overwrite"]);
    assert_eq!(folder.read("secret.safetensors")?, b"a token, a certificate or a key");
    Ok(())
}
