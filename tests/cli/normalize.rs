//! `evenkeel normalize`, against a computation in float64.

use std::error::Error;

use half::{bf16, f16};
use safetensors::SafeTensors;

use crate::{
    TestResult, npy,
    program::{Folder, number},
    stored,
};

/// Each row of so many elements to mean 0 and variance 1.
fn rows(x: &[f64], length: usize, eps: f64) -> Vec<f64> {
    let normalize = |row: &[f64]| {
        let mean = row.iter().sum::<f64>() / length as f64;
        let var = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / length as f64;
        row.iter().map(|x| (x - mean) / (var + eps).sqrt()).collect::<Vec<_>>()
    };
    x.chunks(length).flat_map(normalize).collect()
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// Within half a unit in the last place of the type whose `epsilon` this is (of float16, also where it is subnormal),
/// and a little for the other order of sums.
#[track_caller]
fn rounded(given: &[f64], exact: &[f64], epsilon: f64) {
    let least = if epsilon == f16::EPSILON.to_f64() { f16::from_bits(1).to_f64() } else { 0.0 };
    assert_eq!(given.len(), exact.len());
    for (index, (given, exact)) in given.iter().zip(exact).enumerate() {
        let bound = 0.5 * (epsilon * exact.abs()).max(least) + 1e-12;
        assert!((given - exact).abs() <= bound, "[{index}]: {given} is not {exact} rounded");
    }
}

#[test]
fn shipped_images_by_layer() -> TestResult {
    let folder = Folder::with(&["digits.npy"])?;
    let run = folder.run("normalize digits.npy --kind layer")?;
    run.succeeded();
    assert_eq!(run.footer(), ["wrote digits.layer.npy"]);

    let shape = "(512, 1, 8, 8)";
    let x = wide(&npy::read_f32s(&folder.read("digits.npy")?, shape)?);
    let y = wide(&npy::read_f32s(&folder.read("digits.layer.npy")?, shape)?);
    rounded(&y, &rows(&x, 64, 1e-5), f64::from(f32::EPSILON));

    let [before, after] = &run.rows()[..] else { return Err(format!("not two rows: {}", run.stdout).into()) };
    for (row, state, values, axes) in [(before, "before", &x, "-"), (after, "after", &y, "[1, 2, 3]")] {
        assert_eq!([&row["tensor"], &row["state"], &row["dtype"]], ["digits", state, "float32"]);
        assert_eq!([&row["shape"], &row["axes"]], ["[512, 1, 8, 8]", axes]);
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let std = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count).sqrt();
        let norm = values.iter().map(|x| x * x).sum::<f64>().sqrt();
        for (column, exact) in [("mean", mean), ("std", std), ("norm", norm)] {
            let printed = number(row, column)?;
            assert!((printed - exact).abs() <= 1e-5 * exact.abs() + 1e-12, "{state} {column}: {printed}, {exact}");
        }
    }
    Ok(())
}

#[test]
fn shipped_activations_with_the_weights_that_were_learned() -> TestResult {
    let folder = Folder::with(&["activations.npy", "activations_norm.safetensors"])?;
    let flags = "--weight activations_norm.safetensors:weight --bias activations_norm.safetensors:bias --eps 0.001";
    let table = folder.table(&format!("normalize activations.npy --kind layer {flags} -o y.npy"))?;
    assert_eq!(table[1]["axes"], "[2]");

    let shape = "(16, 48, 64)";
    let x = wide(&npy::read_f32s(&folder.read("activations.npy")?, shape)?);
    let learned = folder.read("activations_norm.safetensors")?;
    let (weight, bias) = (stored::f32s(&learned, "weight", &[64])?, stored::f32s(&learned, "bias", &[64])?);
    let affine = |(index, x): (usize, f64)| x * f64::from(weight[index % 64]) + f64::from(bias[index % 64]);
    let exact: Vec<f64> = rows(&x, 64, 1e-3).into_iter().enumerate().map(affine).collect();
    rounded(&wide(&npy::read_f32s(&folder.read("y.npy")?, shape)?), &exact, f64::from(f32::EPSILON));
    Ok(())
}

#[test]
fn every_tensor_of_a_file_in_its_own_type() -> TestResult {
    let folder = Folder::with(&["activations_half.safetensors"])?;
    let table =
        folder.table("normalize activations_half.safetensors --kind rms --axes=-1 --statistics s.safetensors")?;
    let order: Vec<_> = table.iter().map(|row| (row["tensor"].as_str(), row["dtype"].as_str())).collect();
    for (name, dtype) in [("hidden.float16", "float16"), ("hidden.bfloat16", "bfloat16")] {
        assert_eq!(order.iter().filter(|&&it| it == (name, dtype)).count(), 2, "{order:?}");
    }

    let (input, output) =
        (folder.read("activations_half.safetensors")?, folder.read("activations_half.rms.safetensors")?);
    let half = |bits: [u8; 2]| f16::from_le_bytes(bits).to_f64();
    let brain = |bits: [u8; 2]| bf16::from_le_bytes(bits).to_f64();
    compare_rms(&input, &output, "hidden.float16", half, f16::EPSILON.to_f64())?;
    compare_rms(&input, &output, "hidden.bfloat16", brain, bf16::EPSILON.to_f64())?;

    // RMS has no mean.
    let statistics = folder.read("s.safetensors")?;
    assert_eq!(stored::names(&statistics)?, ["hidden.bfloat16.rstd", "hidden.float16.rstd"]);
    assert_eq!(stored::f32s(&statistics, "hidden.float16.rstd", &[16, 48])?.len(), 768);
    Ok(())
}

fn compare_rms(
    input: &[u8],
    output: &[u8],
    name: &str,
    decode: impl Fn([u8; 2]) -> f64,
    epsilon: f64,
) -> Result<(), Box<dyn Error>> {
    let decode = |file: &[u8]| -> Result<Vec<f64>, Box<dyn Error>> {
        let file = SafeTensors::deserialize(file)?;
        Ok(file.tensor(name)?.data().as_chunks().0.iter().map(|&bits| decode(bits)).collect())
    };
    let normalize = |row: &[f64]| {
        let square = row.iter().map(|x| x * x).sum::<f64>() / 64.0;
        row.iter().map(|x| x / (square + f64::from(f32::EPSILON)).sqrt()).collect::<Vec<_>>()
    };
    let exact: Vec<f64> = decode(input)?.chunks(64).flat_map(normalize).collect();
    rounded(&decode(output)?, &exact, epsilon);
    Ok(())
}

#[test]
fn groups_and_channels_last() -> TestResult {
    let folder = Folder::new()?;
    let x: Vec<f64> = (0..48).map(|i| f64::from(i * i % 31)).collect();
    folder.write("x.npy", &npy::f64s("(3, 4, 4)", x.iter().copied()))?;
    folder.table("normalize x.npy --kind group --groups 2 --eps 0")?;
    rounded(&npy::read_f64s(&folder.read("x.group.npy")?, "(3, 4, 4)")?, &rows(&x, 8, 0.0), f64::EPSILON);

    // With channels last, an instance is a column of each sample.
    folder.table("normalize x.npy --kind instance --channel-axis=-1")?;
    let columns = |x: &[f64]| -> Vec<f64> {
        let index = |i: usize| (i / 16) * 16 + (i % 4) * 4 + i / 4 % 4;
        (0..x.len()).map(|i| x[index(i)]).collect()
    };
    let exact = columns(&rows(&columns(&x), 4, 1e-5));
    rounded(&npy::read_f64s(&folder.read("x.instance.npy")?, "(3, 4, 4)")?, &exact, f64::EPSILON);
    Ok(())
}

#[test]
fn running_statistics_are_updated_and_used() -> TestResult {
    let folder = Folder::new()?;
    // Two channels with means 2 and 20, and unbiased variances 2 and 200.
    folder.write("x.npy", &npy::f32s("(2, 2)", [1.0, 10.0, 3.0, 30.0]))?;
    folder.write("mean.npy", &npy::f32s("(2,)", [0.0, 100.0]))?;
    folder.write("var.npy", &npy::f32s("(2,)", [1.0, 4.0]))?;
    let running = "--running-mean mean.npy --running-var var.npy";
    folder.table(&format!(
        "normalize x.npy --kind batch {running} --training --momentum 0.5 --statistics s.safetensors"
    ))?;
    let statistics = folder.read("s.safetensors")?;
    assert_eq!(stored::names(&statistics)?, ["x.mean", "x.rstd", "x.running_mean", "x.running_var"]);
    assert_eq!(stored::f32s(&statistics, "x.mean", &[2])?, [2.0, 20.0]);
    assert_eq!(stored::f32s(&statistics, "x.running_mean", &[2])?, [1.0, 60.0]);
    assert_eq!(stored::f32s(&statistics, "x.running_var", &[2])?, [1.5, 102.0]);

    for (flag, output) in [("", "default.npy"), ("--training=false", "explicit.npy")] {
        folder.table(&format!("normalize x.npy --kind batch {running} {flag} --eps 0 -o {output}"))?;
        let y = npy::read_f32s(&folder.read(output)?, "(2, 2)")?;
        assert_eq!(y, [1.0, -45.0, 3.0, -35.0]);
    }
    Ok(())
}
