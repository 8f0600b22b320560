//! State dicts with tensors that are not computed with, which are passed on.

use std::error::Error;

use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::{TestResult, program::Folder, stored};

/// A model's tensors: weights, what PyTorch's layers keep beside them, and quantized weights.
fn model() -> Result<Vec<u8>, Box<dyn Error>> {
    let weights: Vec<u8> = [3.0_f32, 4.0, 0.0, 12.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let tensors: [(&str, Dtype, &[usize], &[u8]); 10] = [
        ("fc.weight", Dtype::F32, &[2, 2], &weights),
        ("bn.num_batches_tracked", Dtype::I64, &[], &[7, 0, 0, 0, 0, 0, 0, 0]),
        ("mask", Dtype::BOOL, &[3], &[1, 0, 1]),
        ("fp8", Dtype::F8_E4M3, &[4], &[0x38, 0x40, 0x7f, 0x01]),
        ("fp8.e5m2", Dtype::F8_E5M2, &[2], &[0x3c, 0x7c]),
        ("fp4", Dtype::F4, &[2], &[0x21]),
        ("ids", Dtype::U16, &[2], &[1, 2, 3, 4]),
        ("complex", Dtype::C64, &[1], &[0, 0, 0x80, 0x3f, 0, 0, 0, 0]),
        ("empty", Dtype::I32, &[0, 5], &[]),
        ("scale", Dtype::F32, &[], &[0, 0, 0, 0x40]),
    ];
    let views = tensors.map(|(name, dtype, shape, data)| Ok((name, TensorView::new(dtype, shape.to_vec(), data)?)));
    let views = views.into_iter().collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    Ok(safetensors::serialize(views, Some(metadata))?)
}

#[test]
fn what_is_not_computed_with_is_passed_on_and_listed() -> TestResult {
    let folder = Folder::new()?;
    let input = model()?;
    folder.write("m.safetensors", &input)?;
    for (command, output, scalar) in [
        ("clip m.safetensors --threshold 1", "m.clipped.safetensors", true),
        ("clip m.safetensors --mode value --threshold 1 --force", "m.clipped.safetensors", true),
        ("dropout m.safetensors --p 0.5 --seed 1", "m.dropout.safetensors", true),
        ("dropout m.safetensors --kind channel --force", "m.dropout.safetensors", false),
        ("normalize m.safetensors --kind layer", "m.layer.safetensors", false),
        ("normalize m.safetensors --kind rms --statistics s.safetensors", "m.rms.safetensors", false),
    ] {
        let table = folder.table(command)?;
        let output = folder.read(output)?;
        assert_eq!(stored::names(&output)?, stored::names(&input)?, "{command}");
        assert_eq!(stored::metadata(&output)?["format"], "pt");
        let (before, after) = (SafeTensors::deserialize(&input)?, SafeTensors::deserialize(&output)?);
        for (name, old) in before.tensors() {
            let new = after.tensor(&name)?;
            assert_eq!((new.dtype(), new.shape()), (old.dtype(), old.shape()), "{command}: {name}");
            let states: Vec<&str> =
                table.iter().filter(|row| row["tensor"] == name).map(|row| row["state"].as_str()).collect();
            let computed = name == "fc.weight" || name == "scale" && scalar;
            assert_eq!(states, if computed { vec!["before", "after"] } else { vec!["unchanged"] }, "{command}: {name}");
            assert!(computed || new.data() == old.data(), "{command}: {name}");
        }
        let dtype = |name| table.iter().find(|row| row["tensor"] == name).map(|row| row["dtype"].as_str());
        assert_eq!(dtype("bn.num_batches_tracked"), Some("int64"));
        assert_eq!(dtype("fp8"), Some("float8_e4m3fn"));
        assert_eq!([dtype("mask"), dtype("ids")], [Some("bool"), Some("uint16")]);
    }
    assert_eq!(stored::names(&folder.read("s.safetensors")?)?, ["fc.weight.rstd"]);
    // The norm is that of the clipped elements: 3, 4, 0, 12 and the scale 2.
    let run = folder.run("clip m.safetensors --force")?;
    assert!(run.footer()[0].starts_with("total norm 13.1529"), "{}", run.stdout);
    Ok(())
}

#[test]
fn globs_take_and_leave_out() -> TestResult {
    let folder = Folder::new()?;
    let names = ["layers.0.weight", "layers.0.bias", "layers.1.weight", "head[0].weight", "head.weight"];
    let tensors: Vec<(&str, &[usize], &[f32])> = names.iter().map(|name| (*name, &[1][..], &[1.0_f32][..])).collect();
    folder.write("x.safetensors", &stored::file(&tensors, &[])?)?;
    for (flags, expected) in [
        ("--tensor layers.*", &["layers.0.bias", "layers.0.weight", "layers.1.weight"][..]),
        ("--tensor *.weight --exclude layers.1*", &["head.weight", "head[0].weight", "layers.0.weight"]),
        ("--tensor layers.[01].bias", &["layers.0.bias"]),
        ("--tensor head[0].weight", &["head[0].weight"]),
        ("--exclude *.bias --exclude head*", &["layers.0.weight", "layers.1.weight"]),
        ("--tensor {head,layers.?}.weight", &["head.weight", "layers.0.weight", "layers.1.weight"]),
        (
            "--tensor head.weight --tensor *.weight",
            &["head.weight", "head[0].weight", "layers.0.weight", "layers.1.weight"],
        ),
    ] {
        let table = folder.table(&format!("clip x.safetensors --force {flags}"))?;
        assert_eq!(stored::names(&folder.read("x.clipped.safetensors")?)?, expected, "{flags}");
        assert_eq!(table.len(), 2 * expected.len(), "{flags}");
    }
    // In the order of the flags.
    let table = folder.table("clip x.safetensors --force --tensor layers.1.weight --tensor layers.0.*")?;
    assert_eq!([&table[0]["tensor"], &table[5]["tensor"]], ["layers.1.weight", "layers.0.weight"]);
    Ok(())
}

#[test]
fn a_file_without_anything_to_compute_is_refused() -> TestResult {
    let folder = Folder::new()?;
    folder.write("m.safetensors", &model()?)?;
    for (command, word) in [
        ("clip m.safetensors --tensor ids --tensor mask", "'ids', uint16 of shape [2]"),
        ("normalize m.safetensors --kind layer --tensor scale", "'scale', float32 of shape []"),
    ] {
        folder.run(command)?.failed(1, &["m.safetensors: there is nothing to compute", word]);
    }
    folder.write("nothing.safetensors", &stored::file(&[], &[("format", "pt")])?)?;
    folder.run("clip nothing.safetensors")?.succeeded();
    Ok(())
}
