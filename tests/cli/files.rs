//! Files that are read and written: orders of elements and bytes, formats, paths.

use half::f16;

use crate::{TestResult, npy, program::Folder, stored};

/// 2 x 3: rows [1, 2, 3] and [4, 5, 6].
const ROWS: [f32; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
const COLUMNS: [f32; 6] = [1.0, 4.0, 2.0, 5.0, 3.0, 6.0];

#[test]
fn fortran_order_and_big_endian_are_the_same_array() -> TestResult {
    let folder = Folder::new()?;
    let little = |values: [f32; 6]| values.map(f32::to_le_bytes).concat();
    let big = |values: [f32; 6]| values.map(f32::to_be_bytes).concat();
    folder.write("c.npy", &npy::file("<f4", "False", "(2, 3)", &little(ROWS)))?;
    folder.write("fortran.npy", &npy::file("<f4", "True", "(2, 3)", &little(COLUMNS)))?;
    folder.write("big.npy", &npy::file(">f4", "False", "(2, 3)", &big(ROWS)))?;
    folder.write("both.npy", &npy::file(">f4", "True", "(2, 3)", &big(COLUMNS)))?;
    for name in ["c", "fortran", "big", "both"] {
        folder.table(&format!("clip {name}.npy --threshold inf"))?;
        assert_eq!(npy::read_f32s(&folder.read(&format!("{name}.clipped.npy"))?, "(2, 3)")?, ROWS, "{name}");
        folder.table(&format!("normalize {name}.npy --kind layer"))?;
        let y = npy::read_f32s(&folder.read(&format!("{name}.layer.npy"))?, "(2, 3)")?;
        assert!(y[0] < -1.2 && y[1].abs() < 1e-6 && y[2] > 1.2 && y[3] < -1.2, "{name}: {y:?}");
    }
    Ok(())
}

#[test]
fn float16_scalars_and_nothing() -> TestResult {
    let folder = Folder::new()?;
    let halves = [1.5, -2.0].map(|x| f16::from_f32(x).to_le_bytes()).concat();
    folder.write("half.npy", &npy::file("<f2", "False", "(2,)", &halves))?;
    folder.write("scalar.npy", &npy::f64s("()", [-7.0]))?;
    folder.write("nothing.npy", &npy::f32s("(4, 0)", []))?;
    let table = folder.table("clip half.npy --mode value --threshold 1.75")?;
    assert_eq!([&table[1]["dtype"], &table[1]["clipped"]], ["float16", "50.00%"]);
    let halves = npy::read(&folder.read("half.clipped.npy")?, "<f2", "(2,)", f16::from_le_bytes)?;
    assert_eq!(halves, [f16::from_f32(1.5), f16::from_f32(-1.75)]);
    let table = folder.table("clip scalar.npy --mode value --threshold 1")?;
    assert_eq!([&table[1]["shape"], &table[1]["mean"]], ["[]", "-1.00000"]);
    assert_eq!(npy::read_f64s(&folder.read("scalar.clipped.npy")?, "()")?, [-1.0]);
    let table = folder.table("clip nothing.npy")?;
    assert_eq!(table[1]["clipped"], "0.00%", "nothing was clipped");
    let table = folder.table("dropout nothing.npy")?;
    assert_eq!([&table[1]["shape"], &table[1]["mean"], &table[1]["kept"]], ["[4, 0]", "NaN", "100.00%"]);
    assert_eq!(npy::read_f32s(&folder.read("nothing.dropout.npy")?, "(4, 0)")?, [0.0; 0]);
    Ok(())
}

#[test]
fn one_format_in_and_the_other_out() -> TestResult {
    let folder = Folder::with(&["activations_half.safetensors"])?;
    folder.write("w.npy", &npy::f32s("(2, 3)", ROWS))?;
    folder.table("clip w.npy --threshold inf -o w.safetensors")?;
    assert_eq!(stored::f32s(&folder.read("w.safetensors")?, "w", &[2, 3])?, ROWS);
    folder.table("clip w.safetensors --threshold inf -o back.npy")?;
    assert_eq!(npy::read_f32s(&folder.read("back.npy")?, "(2, 3)")?, ROWS);

    folder.table("clip activations_half.safetensors --tensor hidden.float16 -o half.npy")?;
    assert_eq!(npy::read(&folder.read("half.npy")?, "<f2", "(16, 48, 64)", f16::from_le_bytes)?.len(), 16 * 48 * 64);
    let both = folder.run("clip activations_half.safetensors -o y.npy")?;
    both.failed(64, &["--output: y.npy", "one tensor", "2"]);
    let brain = folder.run("clip activations_half.safetensors --tensor hidden.bfloat16 -o y.npy")?;
    brain.failed(64, &["--output: y.npy", "bfloat16"]);
    Ok(())
}

#[test]
fn nothing_is_overwritten_that_was_not_named() -> TestResult {
    let folder = Folder::new()?;
    folder.write("x.npy", &npy::f32s("(2,)", [3.0, 4.0]))?;
    folder.write("x.clipped.npy", b"mine")?;
    folder.run("clip x.npy")?.failed(64, &["--output: ", "x.clipped.npy", "--force"]);
    assert_eq!(folder.read("x.clipped.npy")?, b"mine");
    folder.run("clip x.npy --force")?.succeeded();
    assert_eq!(npy::read_f32s(&folder.read("x.clipped.npy")?, "(2,)")?.len(), 2);
    folder.write("named.npy", b"mine")?;
    folder.run("clip x.npy -o named.npy")?.succeeded();
    assert_eq!(folder.read("named.npy")?, folder.read("x.clipped.npy")?);
    assert_eq!(folder.list()?, ["named.npy", "x.clipped.npy", "x.npy"], "a temporary file is left");
    Ok(())
}

#[test]
fn what_is_read_is_never_overwritten() -> TestResult {
    let folder = Folder::new()?;
    let input = npy::f32s("(2, 2)", [1.0, 2.0, 3.0, 5.0]);
    folder.write("x.npy", &input)?;
    folder.write("w.npy", &npy::f32s("(2,)", [1.0, 1.0]))?;
    for (command, flag) in [
        ("clip x.npy -o x.npy --force", "--output"),
        ("clip x.npy -o ./x.npy", "--output"),
        ("normalize x.npy --kind layer --weight w.npy -o w.npy", "--output"),
        ("normalize x.npy --kind layer --weight w.npy --statistics w.safetensors -o w.safetensors", "--statistics"),
        ("dropout x.npy --mask x.npy", "--mask"),
        ("dropout x.npy -o y.npy --mask y.npy", "--mask"),
    ] {
        folder.run(command)?.failed(64, &[flag, "would overwrite"]);
        assert_eq!(folder.list()?, ["w.npy", "x.npy"], "{command}");
        assert_eq!(folder.read("x.npy")?, input, "{command}");
    }
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_link_to_the_input_is_the_input_and_a_result_is_a_file_like_others() -> TestResult {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    let folder = Folder::new()?;
    folder.write("x.npy", &npy::f32s("(2,)", [3.0, 4.0]))?;
    symlink("x.npy", folder.path("link.npy"))?;
    folder.run("clip x.npy -o link.npy")?.failed(64, &["--output: link.npy would overwrite x.npy"]);
    folder.run("clip x.npy -o y.npy")?.succeeded();
    let mode = |name| Ok::<_, std::io::Error>(std::fs::metadata(folder.path(name))?.permissions().mode());
    assert_eq!(mode("y.npy")?, mode("x.npy")?, "both were made under one umask");
    Ok(())
}

#[test]
fn a_folder_that_is_not_there_is_named() -> TestResult {
    let folder = Folder::new()?;
    folder.write("x.npy", &npy::f32s("(2,)", [3.0, 4.0]))?;
    folder.run("clip x.npy -o missing/y.npy")?.failed(1, &["missing/y.npy: cannot write"]);
    assert_eq!(folder.list()?, ["x.npy"]);
    Ok(())
}

/// Headers that NumPy reads, as other programs and older versions write them.
#[test]
fn headers_as_others_write_them() -> TestResult {
    let folder = Folder::new()?;
    let elements = ROWS.map(f32::to_le_bytes).concat();
    for (index, header) in [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 3L), }",
        "{'descr': '=f4', 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': 'f4', 'fortran_order': False, 'shape': (2, 3)}\n",
        "{'shape': (2, 3,), 'fortran_order': False, 'descr': \"<f4\"}  \r\n",
        "{\n'descr': 'float32',\n'fortran_order': False,\n'shape': (2, 3)\n}\n",
        "{'descr':'<f4','fortran_order':False,'shape':(2,3)}\0\0\0",
    ]
    .into_iter()
    .enumerate()
    {
        for version in 1..=3_u8 {
            let length = (header.len() as u32).to_le_bytes();
            let length = if version == 1 { &length[..2] } else { &length[..] };
            let file = [b"\x93NUMPY", &[version, 0][..], length, header.as_bytes(), &elements].concat();
            folder.write("x.npy", &file)?;
            folder.table("clip x.npy --threshold inf --force")?;
            assert_eq!(npy::read_f32s(&folder.read("x.clipped.npy")?, "(2, 3)")?, ROWS, "{index}, version {version}");
        }
    }
    Ok(())
}

#[test]
fn a_pointer_of_git_lfs_is_called_one() -> TestResult {
    let folder = Folder::new()?;
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    folder.write("w.npy", &npy::f32s("(2,)", [3.0, 4.0]))?;
    for name in ["x.npy", "x.safetensors", "m-1.safetensors"] {
        folder.write(name, pointer)?;
    }
    folder.write("m.safetensors.index.json", br#"{"weight_map": {"a": "m-1.safetensors"}}"#)?;
    folder.write("p.safetensors.index.json", pointer)?;
    for (command, name) in [
        ("clip x.npy", "x.npy: "),
        ("clip x.safetensors", "x.safetensors: "),
        ("normalize w.npy --kind layer --weight x.npy", "x.npy: "),
        ("clip m.safetensors.index.json", "m-1.safetensors: "),
        ("clip p.safetensors.index.json", "p.safetensors.index.json: "),
    ] {
        folder.run(command)?.failed(1, &[name, "Git LFS pointer", "git lfs pull"]);
    }
    Ok(())
}
