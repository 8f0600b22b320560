//! Headers and indexes: names that stand twice, shapes that no array has.

use std::fs::File;

use crate::{TestResult, npy, program::Folder, stored};

/// A `.safetensors` file with this header, and so many bytes behind it.
fn file(header: &str, data: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
}

/// A parser of JSON keeps one of two values of the same name.
#[test]
fn a_name_that_stands_twice_is_refused() -> TestResult {
    let folder = Folder::new()?;
    let tensor = r#"{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#;
    let second = r#"{"dtype":"F32","shape":[1],"data_offsets":[4,8]}"#;
    folder.write("one.safetensors", &stored::file(&[("a", &[1], &[1.0])], &[])?)?;
    folder.write("two.safetensors", &stored::file(&[("a", &[1], &[2.0])], &[])?)?;
    for (header, data, name) in [
        (format!(r#"{{"a":{tensor},"a":{tensor}}}"#), 4, "'a'"),
        (format!(r#"{{"b":{tensor},"a":{second},"\u0061":{second}}}"#), 8, "'a'"),
        (format!(r#"{{"__metadata__":{{"format":"pt","format":"tf"}},"a":{tensor}}}"#), 4, "'format'"),
        (format!(r#"{{"\u001b[31m":{tensor},"\u001b[31m":{tensor}}}"#), 4, "'\\u{1b}[31m'"),
    ] {
        folder.write("x.safetensors", &file(&header, data))?;
        folder.run("clip x.safetensors")?.failed(1, &["x.safetensors: ", name, "twice"]);
        folder
            .run("normalize one.safetensors --kind layer --weight x.safetensors")?
            .failed(1, &["x.safetensors: ", name, "twice"]);
    }
    for (index, name) in [
        (r#"{"weight_map":{"a":"one.safetensors","a":"two.safetensors"}}"#, "'a'"),
        (r#"{"weight_map":{"a":"one.safetensors"},"weight_map":{"a":"two.safetensors"}}"#, "'weight_map'"),
    ] {
        folder.write("m.safetensors.index.json", index.as_bytes())?;
        folder.run("clip m.safetensors.index.json")?.failed(1, &["m.safetensors.index.json: ", name, "twice"]);
    }
    folder.write("x.safetensors", &file(&format!(r#"{{"b":{tensor},"a":{second}}}"#), 8))?;
    folder.run("clip x.safetensors")?.succeeded();
    Ok(())
}

/// The message is about the file, and not about the types of this program.
#[test]
fn a_header_that_is_no_object_is_called_that() -> TestResult {
    let folder = Folder::new()?;
    for json in ["[]", "null", "\"x\"", "3", ""] {
        folder.write("x.safetensors", &file(json, 0))?;
        folder
            .run("clip x.safetensors")?
            .failed(1, &["x.safetensors: not a .safetensors file: it is not a JSON object\n"]);
        folder.write("m.safetensors.index.json", json.as_bytes())?;
        folder.run("clip m.safetensors.index.json")?.failed(1, &["not an index of shards: it is not a JSON object\n"]);
    }
    Ok(())
}

/// 64 is the limit of NumPy, of PyTorch and of the service.
#[test]
fn no_tensor_has_more_than_64_dimensions() -> TestResult {
    let folder = Folder::new()?;
    folder.write("most.safetensors", &stored::file(&[("a", &[1; 64], &[3.0])], &[])?)?;
    for command in ["clip", "dropout", "normalize --kind layer"] {
        folder.run(&format!("{command} most.safetensors"))?.succeeded();
    }
    for rank in [65, 20_000] {
        let many = vec![1; rank];
        folder.write("more.safetensors", &stored::file(&[("a", &many, &[3.0]), ("b", &[1], &[3.0])], &[])?)?;
        for command in ["clip", "dropout", "normalize --kind layer"] {
            let run = folder.run(&format!("{command} more.safetensors"))?;
            run.failed(1, &["more.safetensors: tensor 'a'", &format!("{rank} dimensions"), "64"]);
        }
    }
    Ok(())
}

/// As in a `.npy` file: the other dimensions alone are more than any memory holds.
#[test]
fn a_shape_without_elements_is_within_memory_all_the_same() -> TestResult {
    let folder = Folder::new()?;
    let shapes = ["0,1099511627776,1099511627776", "1099511627776,0,1099511627776", "4611686018427387904,0"];
    for shape in shapes {
        let header = format!(r#"{{"a":{{"dtype":"F32","shape":[{shape}],"data_offsets":[0,0]}}}}"#);
        folder.write("x.safetensors", &file(&header, 0))?;
        for command in ["clip", "dropout", "dropout --kind channel", "normalize --kind layer", "normalize --kind batch"]
        {
            let run = folder.run(&format!("{command} x.safetensors"))?;
            run.failed(1, &["x.safetensors: tensor 'a'", "no memory holds the shape"]);
        }
    }
    Ok(())
}

/// Tensors without elements begin at the same byte, so their offsets do not give their order.
#[test]
fn the_order_of_tensors_is_the_same_in_every_run() -> TestResult {
    let folder = Folder::new()?;
    let names: Vec<String> = (0..40).map(|index| format!("t{index:02}")).collect();
    let tensors: Vec<(&str, &[usize], &[f32])> =
        names.iter().map(|name| (name.as_str(), &[0, 3][..], &[][..])).collect();
    folder.write("x.safetensors", &stored::file(&tensors, &[])?)?;
    let table = folder.table("clip x.safetensors")?;
    let given: Vec<&str> = table.iter().step_by(2).map(|row| row["tensor"].as_str()).collect();
    assert_eq!(given, names);
    Ok(())
}

/// A tensor that must be in memory as a whole is refused if there is not so much: a sparse file may have any length.
#[test]
fn a_sparse_file_is_not_held_in_memory() -> TestResult {
    const ELEMENTS: u64 = 1 << 40;
    let folder = Folder::new()?;
    folder.write("x.npy", &npy::f32s("(2, 2)", [1.0, 2.0, 3.0, 5.0]))?;
    for (descr, order, name) in [("<f4", "True", "fortran"), (">f4", "False", "big"), ("<f4", "False", "weight")] {
        let header = npy::file(descr, order, &format!("({}, 2)", ELEMENTS / 2), &[]);
        let path = format!("{name}.npy");
        folder.write(&path, &header)?;
        File::options().write(true).open(folder.path(&path))?.set_len(header.len() as u64 + 4 * ELEMENTS)?;
    }
    for (command, path) in [
        ("clip fortran.npy -o y.npy", "fortran.npy: "),
        ("clip big.npy -o y.npy", "big.npy: "),
        ("normalize x.npy --kind layer --weight weight.npy", "weight.npy: "),
    ] {
        folder.run(command)?.failed(1, &[path, "bytes of memory"]);
    }
    Ok(())
}
