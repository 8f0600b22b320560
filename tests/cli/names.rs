//! Names that a file may give its tensors, and that a terminal must show and not obey.

use std::{collections::HashMap, ffi::OsStr, fs, os::unix::ffi::OsStrExt as _};

use unicode_width::UnicodeWidthStr as _;

use crate::{TestResult, npy, program::Folder, stored};

/// Names with characters that a terminal would obey, each with the text that is shown.
const UNWELCOME: [(&str, &str); 6] = [
    ("red\x1b[31m", "red\\u{1b}[31m"),
    ("two\nlines\r", "two\\nlines\\r"),
    ("nul\0", "nul\\0"),
    ("fdp.\u{202e}exe", "fdp.\\u{202e}exe"),
    ("\u{2066}isolate\u{200b}", "\\u{2066}isolate\\u{200b}"),
    ("bell\x07\u{9b}31m", "bell\\u{7}\\u{9b}31m"),
];

/// Whether a terminal would do anything with it but show it.
fn is_obeyed(text: &str) -> bool {
    text.chars().any(|c| c.is_control() && c != '\n' || ('\u{200b}'..='\u{206f}').contains(&c))
}

#[test]
fn names_are_shown_and_not_obeyed() -> TestResult {
    let folder = Folder::new()?;
    let tensors: Vec<(&str, &[usize], &[f32])> =
        UNWELCOME.iter().map(|(name, _)| (*name, &[2][..], &[3.0_f32, 4.0][..])).collect();
    folder.write("x.safetensors", &stored::file(&tensors, &[])?)?;
    for command in ["clip x.safetensors", "dropout x.safetensors", "normalize x.safetensors --kind layer"] {
        let run = folder.run(&format!("{command} --force"))?;
        run.succeeded();
        assert!(!is_obeyed(&run.stdout), "{:?}", run.stdout);
        for (_, shown) in UNWELCOME {
            assert!(run.rows().iter().any(|row| row["tensor"] == shown), "{shown}: {}", run.stdout);
        }
    }
    let json = folder.run("clip x.safetensors --force --json")?;
    json.succeeded();
    assert!(!is_obeyed(&json.stdout), "{:?}", json.stdout);
    let value: serde_json::Value = serde_json::from_str(&json.stdout)?;
    let names: Vec<&str> =
        value["tensors"].as_array().ok_or("no list")?.iter().filter_map(|it| it["name"].as_str()).collect();
    assert!(UNWELCOME.iter().all(|(name, _)| names.contains(name)), "{names:?}");
    // And the file has them as they were.
    let mut expected: Vec<_> = UNWELCOME.iter().map(|(name, _)| (*name).to_owned()).collect();
    expected.sort();
    assert_eq!(stored::names(&folder.read("x.clipped.safetensors")?)?, expected);
    Ok(())
}

#[test]
fn errors_do_not_obey_names_either() -> TestResult {
    let folder = Folder::new()?;
    for (name, shown) in UNWELCOME {
        folder.write("x.safetensors", &stored::file(&[(name, &[1, 1, 1], &[1.0])], &[])?)?;
        // The first command has a tensor that the server refuses, the second names one that is not there.
        for command in ["normalize x.safetensors --kind instance", "clip x.safetensors --tensor other"] {
            let run = folder.run(command)?;
            run.failed(1, &["x.safetensors: "]);
            assert!(!is_obeyed(run.stderr.trim_end()) && run.stderr.contains(shown), "{:?}", run.stderr);
        }
    }
    // File names are names as well.
    folder.run("clip no\x1b[31mfile.npy")?.failed(1, &["no\\u{1b}[31mfile.npy: "]);
    let written = folder.run("clip x.safetensors --output a\x1b]0;b.safetensors")?;
    written.succeeded();
    assert!(written.stdout.contains("wrote a\\u{1b}]0;b.safetensors"), "{:?}", written.stdout);
    Ok(())
}

#[test]
fn a_very_long_name_is_shortened() -> TestResult {
    let folder = Folder::new()?;
    let long = "n".repeat(1 << 16);
    folder.write("x.safetensors", &stored::file(&[(&long, &[2], &[3.0, 4.0])], &[])?)?;
    for command in ["clip", "dropout", "normalize --kind layer"] {
        let run = folder.run(&format!("{command} x.safetensors --force"))?;
        run.succeeded();
        assert!(run.stdout.lines().all(|line| line.len() < 300), "{command}");
    }
    assert_eq!(stored::names(&folder.read("x.clipped.safetensors")?)?, std::slice::from_ref(&long));
    let run = folder.run("normalize x.safetensors --kind instance")?;
    run.failed(1, &["nnn…nnn"]);
    assert!(run.stderr.len() < 500);
    Ok(())
}

#[test]
fn wide_characters_keep_the_columns() -> TestResult {
    let folder = Folder::new()?;
    let names = ["層.重み", "e\u{301}", "plain", "🙂"];
    let tensors: Vec<(&str, &[usize], &[f32])> =
        names.iter().map(|name| (*name, &[2][..], &[3.0_f32, 4.0][..])).collect();
    folder.write("x.safetensors", &stored::file(&tensors, &[])?)?;
    let run = folder.run("clip x.safetensors")?;
    run.succeeded();
    let lines: Vec<&str> = run.stdout.lines().take(1 + 2 * names.len()).collect();
    assert!(lines.iter().all(|line| line.width() == lines[0].width()), "{}", run.stdout);
    let rows: Vec<HashMap<String, String>> = run.rows();
    assert!(names.iter().all(|name| rows.iter().any(|row| row["tensor"] == *name)), "{}", run.stdout);
    Ok(())
}

#[test]
fn a_name_that_makes_an_unreadable_file_is_refused_first() -> TestResult {
    let folder = Folder::new()?;
    folder.write("__metadata__.npy", &npy::f32s("(2,)", [3.0, 4.0]))?;
    // No server listens at this port: if the command asked one first, it would fail with another error.
    for command in ["clip __metadata__.npy -o y.safetensors", "dropout __metadata__.npy --mask y.safetensors"] {
        folder.run(&format!("{command} --server 127.0.0.1:1"))?.failed(64, &["y.safetensors: ", "__metadata__"]);
    }
    assert_eq!(folder.list()?, ["__metadata__.npy"]);
    folder.run("clip __metadata__.npy")?.succeeded();
    Ok(())
}

/// A path is bytes, on Linux.
#[test]
fn paths_need_not_be_utf_8() -> TestResult {
    let folder = Folder::new()?;
    let named = |name: &[u8]| OsStr::from_bytes(name).to_owned();
    let write = |name: &[u8], bytes: &[u8]| fs::write(folder.path("").join(named(name)), bytes);
    write(b"x\xff.npy", &npy::f32s("(2, 2)", [1.0, 2.0, 3.0, 5.0]))?;
    write(b"w\xff.npy", &npy::f32s("(2,)", [1.0, 1.0]))?;
    write(b"b\xff.safetensors", &stored::file(&[("a", &[2], &[0.0, 0.0]), ("b", &[1], &[0.0])], &[])?)?;
    let run = |more: &[&[u8]]| {
        let mut command = folder.command();
        command.arg("normalize").arg(named(b"x\xff.npy")).args(["--kind", "layer"]);
        command.args(more.iter().map(|argument| named(argument))).output()
    };
    let done = run(&[b"--weight", b"w\xff.npy", b"--bias", b"b\xff.safetensors:a", b"-o", b"y\xfe.npy"])?;
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(folder.path("").join(named(b"y\xfe.npy")).exists());
    let default = run(&[b"--json"])?;
    assert!(default.status.success(), "{}", String::from_utf8_lossy(&default.stderr));
    assert!(folder.path("").join(named(b"x\xff.layer.npy")).exists());
    // A name of a tensor is text.
    let wrong = run(&[b"--weight", b"b.safetensors:\xff"])?;
    let said = String::from_utf8(wrong.stderr)?;
    assert!(wrong.status.code() == Some(64) && said.contains("--weight") && said.contains("UTF-8"), "{said}");
    Ok(())
}
