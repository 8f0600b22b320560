//! Broken files and wrong flags: the error names the file or the flag, and nothing is written.

use crate::{TestResult, npy, program::Folder, stored};

#[track_caller]
fn refuses(folder: &Folder, command: &str, code: i32, words: &[&str]) -> TestResult {
    let before = folder.list()?;
    folder.run(command)?.failed(code, words);
    assert_eq!(folder.list()?, before, "{command}");
    Ok(())
}

#[test]
fn broken_npy_files() -> TestResult {
    let folder = Folder::new()?;
    let good = npy::f32s("(2, 2)", [1.0, 2.0, 3.0, 4.0]);
    // A hundred nested brackets: the time of a parser that tries all alternatives grows exponentially with them.
    let nested = [&b"\x93NUMPY\x01\x00\x78\x00{'descr':"[..], &[b'{'; 100], b"'<f4'"].concat();
    let files: [(&str, &[u8], &str); 10] = [
        ("nested", &nested, "not a .npy file"),
        ("empty", b"", "not a .npy file"),
        ("text", b"1.0, 2.0, 3.0", "not a .npy file"),
        ("cut_header", &good[..40], "not a .npy file"),
        ("cut_data", &good[..good.len() - 1], "expected 16 bytes after the header and got 15"),
        ("long_data", &[&good[..], &[0]].concat(), "expected 16 bytes after the header and got 17"),
        ("no_shape", &npy::file("<f4", "False", "4", &[0; 16]), "shape"),
        ("negative", &npy::file("<f4", "False", "(-4,)", &[0; 16]), "negative"),
        ("wide", &npy::file("<f4", "False", "(4294967296, 4294967296)", &[0; 16]), "no memory holds"),
        ("tall", &npy::file("<f4", "True", "(9223372036854775807, 0, 3)", &[]), "tall.npy: "),
    ];
    for (name, bytes, word) in files {
        folder.write(&format!("{name}.npy"), bytes)?;
        refuses(&folder, &format!("clip {name}.npy"), 1, &[&format!("{name}.npy: "), word])?;
    }
    Ok(())
}

/// 64 is NumPy's limit, and so the format's.
#[test]
fn npy_files_have_64_dimensions_at_most() -> TestResult {
    let folder = Folder::new()?;
    let ones = |rank: usize| format!("({})", "1, ".repeat(rank));
    folder.write("most.npy", &npy::f32s(&ones(64), [3.0]))?;
    folder.run("clip most.npy -o y.npy")?.succeeded();
    for (name, rank) in [("more", 65), ("many", 20_000)] {
        folder.write(&format!("{name}.npy"), &npy::f32s(&ones(rank), [3.0]))?;
        for command in ["clip", "dropout", "normalize --kind layer"] {
            let said = format!("{name}.npy: its shape has {rank} dimensions");
            refuses(&folder, &format!("{command} {name}.npy"), 1, &[&said])?;
        }
    }
    Ok(())
}

#[test]
fn element_types_that_are_not_taken() -> TestResult {
    let folder = Folder::new()?;
    for (descr, size, name) in [
        ("|u1", 1, "uint8"),
        ("<i8", 8, "int64"),
        ("|b1", 1, "bool"),
        ("<c8", 8, "complex64"),
        ("<f16", 16, "float128"),
        ("<V2", 2, "bfloat16"),
        ("<U3", 12, "<U3"),
    ] {
        folder.write("x.npy", &npy::file(descr, "False", "(2,)", &vec![0; 2 * size]))?;
        refuses(&folder, "clip x.npy", 1, &["x.npy: elements of ", name, "float16, float32 and float64"])?;
    }
    folder.write("x.npy", &npy::file("|O", "False", "(2,)", b"a pickle"))?;
    refuses(&folder, "clip x.npy", 1, &["x.npy: elements of ", "O"])?;
    Ok(())
}

#[test]
fn broken_safetensors_files() -> TestResult {
    let folder = Folder::new()?;
    let good = stored::file(&[("a", &[2], &[1.0, 2.0])], &[])?;
    let files: [(&str, &[u8], &str); 4] = [
        ("empty", b"", "not a .safetensors file"),
        ("text", b"not tensors at all", "not a .safetensors file"),
        ("cut", &good[..good.len() - 1], "not a .safetensors file"),
        ("huge", &[&u64::MAX.to_le_bytes()[..], b"{}"].concat(), "not a .safetensors file"),
    ];
    for (name, bytes, word) in files {
        folder.write(&format!("{name}.safetensors"), bytes)?;
        refuses(&folder, &format!("clip {name}.safetensors"), 1, &[&format!("{name}.safetensors: "), word])?;
    }
    folder.write("two.safetensors", &stored::file(&[("ids", &[1], &[0.0]), ("x", &[1], &[0.0])], &[])?)?;
    for (flags, words) in [
        ("--tensor y", ["two.safetensors: there is no tensor 'y'", "ids, x"]),
        ("--tensor z*", ["two.safetensors: no tensor matches 'z*'", "ids, x"]),
        ("--exclude y", ["two.safetensors: there is no tensor 'y'", "--exclude"]),
    ] {
        refuses(&folder, &format!("clip two.safetensors {flags}"), 1, &words)?;
    }
    for flags in ["--tensor [", "--tensor ids --exclude i*"] {
        refuses(&folder, &format!("clip two.safetensors {flags}"), 64, &["--"])?;
    }
    Ok(())
}

/// The statistics of a tensor may be longer than all that it has: it has no elements, and that is what is said.
#[test]
fn tensors_without_elements_and_with_long_dimensions() -> TestResult {
    let folder = Folder::new()?;
    folder.write("few.safetensors", &stored::file(&[("w", &[0, 1 << 20], &[])], &[])?)?;
    folder.run("clip few.safetensors -o y.safetensors")?.succeeded();
    folder.write("zero.safetensors", &stored::file(&[("w", &[0, 1 << 60], &[])], &[])?)?;
    for command in ["clip", "dropout", "normalize --kind layer", "normalize --kind rms --axes 0"] {
        let run = folder.run(&format!("{command} zero.safetensors -o z.safetensors"))?;
        run.failed(1, &["zero.safetensors: tensor 'w': ", "[0, 1152921504606846976] has no elements, but "]);
        assert!(!run.stderr.contains("carry"), "{}", run.stderr);
    }
    Ok(())
}

/// Standard input has no extension that tells the format.
#[test]
fn a_npy_file_that_is_cut_on_standard_input() -> TestResult {
    let folder = Folder::new()?;
    let good = npy::f32s("(2, 2)", [1.0, 2.0, 3.0, 4.0]);
    for (len, word) in [
        (1, "not a .npy file: its header is cut"),
        (4, "its header is cut"),
        (6, "its header is cut"),
        (7, "its header is cut"),
        (11, "its header is cut"),
        (40, "its header is cut"),
        (good.len() - 1, "expected 16 bytes after the header and got 15"),
        (0, "not a .safetensors file"),
    ] {
        folder.write("cut", &good[..len])?;
        folder.within("exec < cut", "clip - -o y.npy")?.failed(1, &[word]);
    }
    Ok(())
}

/// The memory that the header of a file takes is a small multiple of its bytes.
#[test]
fn long_headers_take_little_memory() -> TestResult {
    let folder = Folder::new()?;
    let file = |json: String| [&(json.len() as u64).to_le_bytes()[..], json.as_bytes()].concat();
    let dims = "0,".repeat(8_000_000);
    let shape = file(format!(r#"{{"a":{{"dtype":"F32","data_offsets":[0,0],"shape":[{dims}0]}}}}"#));
    folder.write("x.safetensors", &shape)?;
    // Usually less than 50 MB; with a tree of 32 bytes for each number more than 600.
    let run = folder.within("ulimit -d 250000", "clip x.safetensors")?;
    run.failed(1, &["x.safetensors: tensor 'a' has 8000001 dimensions, and no array has more than 64"]);
    Ok(())
}

/// A device has no end, and its first bytes are enough to refuse it.
#[test]
fn streams_that_cannot_be_tensors_are_not_kept() -> TestResult {
    let folder = Folder::new()?;
    for (device, words) in [
        ("/dev/zero", ["/dev/zero: not a .safetensors file", "not a JSON object"]),
        ("/dev/urandom", ["/dev/urandom: not a .safetensors file", "header"]),
    ] {
        // The content of a stream is kept in a temporary file, which may not be larger than this.
        folder.within("ulimit -f 8192", &format!("clip {device} -o y.npy"))?.failed(1, &words);
    }
    folder.write("m.safetensors.index.json", br#"{"weight_map": {"a": "m-1.safetensors"}}"#)?;
    std::os::unix::fs::symlink("/dev/zero", folder.path("m-1.safetensors"))?;
    folder
        .within("ulimit -f 8192", "clip m.safetensors.index.json")?
        .failed(1, &["m-1.safetensors: not a .safetensors file"]);
    std::os::unix::fs::symlink("/dev/zero", folder.path("x.npy"))?;
    folder.within("ulimit -f 8192", "clip x.npy")?.failed(1, &["x.npy: not a .npy file"]);
    Ok(())
}

#[test]
fn long_names_of_shards_are_shortened() -> TestResult {
    let folder = Folder::new()?;
    let name = format!("first{}last", "x".repeat(100_000));
    folder.write("m.safetensors.index.json", format!(r#"{{"weight_map": {{"a": "{name}"}}}}"#).as_bytes())?;
    let run = folder.run("clip m.safetensors.index.json")?;
    run.failed(1, &["m.safetensors.index.json: not an index of shards: ", "100009 bytes", "'first", "last'"]);
    assert!(run.stderr.len() < 300, "{}", run.stderr);
    Ok(())
}

#[test]
fn files_that_cannot_be_used() -> TestResult {
    let folder = Folder::new()?;
    folder.write("x.npy", &npy::f32s("(2, 2)", [1.0, 2.0, 3.0, 4.0]))?;
    folder.write("w.safetensors", &stored::file(&[("a", &[2], &[1.0, 2.0]), ("b", &[1], &[1.0])], &[])?)?;
    for (command, code, words) in [
        ("clip missing.npy", 1, ["missing.npy: ", "No such file"]),
        ("clip x.txt", 64, ["INPUT: x.txt", ".npy"]),
        ("clip x.npy -o y.txt", 64, ["--output: y.txt", ".safetensors"]),
        ("clip x.npy --tensor a", 64, ["--tensor: ", "x.npy"]),
        ("clip w.safetensors --tensor a --tensor a", 64, ["--tensor: ", "'a' is given twice"]),
        ("dropout w.safetensors --mask m.npy", 64, ["--mask: m.npy", "one tensor"]),
        ("normalize x.npy --kind layer --statistics s.npy", 64, ["--statistics: s.npy", "one tensor"]),
        ("normalize x.npy --kind layer --weight missing.npy", 1, ["missing.npy: ", "No such file"]),
        ("normalize x.npy --kind layer --weight w.safetensors", 64, ["--weight: ", "w.safetensors:NAME"]),
        ("normalize x.npy --kind layer --bias w.safetensors:c", 1, ["w.safetensors: ", "no tensor 'c'"]),
        ("normalize x.npy --kind layer --bias w.safetensors:b", 64, ["--bias: ", "[1]"]),
    ] {
        refuses(&folder, command, code, &words)?;
    }
    Ok(())
}

#[test]
fn flags_that_the_server_refuses() -> TestResult {
    let folder = Folder::new()?;
    folder.write("x.npy", &npy::f32s("(2, 2)", [1.0, 2.0, 3.0, 4.0]))?;
    folder.write("v.npy", &npy::f32s("(2,)", [1.0, 1.0]))?;
    for (command, flag) in [
        ("normalize x.npy --kind layer --axes 2", "--axes: "),
        ("normalize x.npy --kind layer --axes=-1,1", "--axes: "),
        ("normalize x.npy --kind layer --groups 2", "--groups: "),
        ("normalize x.npy --kind group", "--groups: "),
        ("normalize x.npy --kind layer --eps -1", "--eps: "),
        ("normalize x.npy --kind batch --channel-axis -3", "--channel-axis: "),
        ("normalize x.npy --kind batch --training=false", "--"),
        ("normalize x.npy --kind batch --momentum 2 --running-mean v.npy --running-var v.npy", "--momentum: "),
        ("dropout x.npy --p 1.5", "--p: "),
        ("dropout x.npy --p nan", "--p: "),
        ("dropout x.npy --kind alpha --scaling none", "--scaling: "),
        ("clip x.npy --threshold -1", "--threshold: "),
        ("clip x.npy --norm-type 0", "--norm-type: "),
        ("clip x.npy --mode value --total-norm 3", "--total-norm: "),
    ] {
        refuses(&folder, command, 64, &[flag])?;
    }
    // The tensor is at fault here, not a flag.
    refuses(&folder, "normalize x.npy --kind instance", 1, &["x.npy: tensor 'x': "])?;
    folder.write("one.npy", &npy::f32s("(2,)", [1.0, 2.0]))?;
    refuses(&folder, "dropout one.npy --kind channel", 1, &["one.npy: tensor 'one': "])?;
    Ok(())
}

/// clap refuses these before a file is opened, with errors of more than one line.
#[test]
fn flags_that_cannot_be_read() -> TestResult {
    let folder = Folder::new()?;
    for command in [
        "normalize x.npy",
        "normalize x.npy --kind lay",
        "normalize x.npy --kind batch --running-mean v.npy",
        "normalize --kind layer",
        "dropout x.npy --seed -1",
        "clip x.npy --threshold much",
        "clip x.npy --timeout soon",
        "clip x.npy --nonsense",
    ] {
        let run = folder.run(command)?;
        assert_eq!((run.code, run.stdout.as_str()), (Some(64), ""), "{command}: {}", run.stderr);
        assert!(run.stderr.starts_with("error: "), "{command}: {}", run.stderr);
    }
    for command in ["normalize --help", "dropout --help", "clip -h"] {
        let run = folder.run(command)?;
        run.succeeded();
        assert!(run.stdout.contains("--server <URL>") && run.stdout.contains("digits.layer.npy"), "{}", run.stdout);
    }
    Ok(())
}
