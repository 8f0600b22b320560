//! `evenkeel dropout`.

use safetensors::{Dtype, SafeTensors};

use crate::{
    TestResult, npy,
    program::{Folder, number},
    stored,
};

/// Which of the first eight draws of seed 42 are kept at p = 0.5: those whose word in NumPy's stream, as it is
/// documented, is at least 2^31.
const KEPT: [bool; 8] = [false, true, false, false, true, true, false, false];

fn mask(bytes: &[u8], shape: &str) -> Result<Vec<bool>, Box<dyn std::error::Error>> {
    npy::read(bytes, "|b1", shape, |[byte]: [u8; 1]| byte == 1)
}

#[test]
fn shipped_images() -> TestResult {
    let folder = Folder::with(&["digits.npy"])?;
    let table = folder.table("dropout digits.npy --p 0.3 --seed 7 --mask kept.npy")?;
    assert_eq!(folder.list()?, ["digits.dropout.npy", "digits.npy", "kept.npy"]);

    let shape = "(512, 1, 8, 8)";
    let x = npy::read_f32s(&folder.read("digits.npy")?, shape)?;
    let y = npy::read_f32s(&folder.read("digits.dropout.npy")?, shape)?;
    let mask = mask(&folder.read("kept.npy")?, shape)?;
    for (index, ((x, y), kept)) in x.iter().zip(&y).zip(&mask).enumerate() {
        let expected = if *kept { (f64::from(*x) / 0.7) as f32 } else { 0.0 };
        let difference = (i64::from(y.to_bits()) - i64::from(expected.to_bits())).abs();
        assert!(difference <= 1, "[{index}]: {y} is not {expected}");
    }
    let share = mask.iter().filter(|&&kept| kept).count() as f64 / mask.len() as f64;
    // Six standard deviations of a fair draw.
    assert!((share - 0.7).abs() < 6.0 * (0.21 / mask.len() as f64).sqrt(), "{share}");
    assert!((number(&table[1], "kept")? - share).abs() <= 5e-5, "{table:?}");
    assert_eq!(table[0]["kept"], "-");
    Ok(())
}

#[test]
fn the_mask_is_numpys_stream() -> TestResult {
    let folder = Folder::new()?;
    folder.write("x.npy", &npy::f32s("(2, 4)", [1.0; 8]))?;
    folder.table("dropout x.npy --seed 42 --scaling none")?;
    let expected: Vec<f32> = KEPT.iter().map(|&kept| f32::from(u8::from(kept))).collect();
    assert_eq!(npy::read_f32s(&folder.read("x.dropout.npy")?, "(2, 4)")?, expected);

    folder.write("tail.npy", &npy::f32s("(5,)", [1.0; 5]))?;
    folder.table("dropout tail.npy --seed 42 --offset 3")?;
    let expected: Vec<f32> = KEPT[3..].iter().map(|&kept| if kept { 2.0 } else { 0.0 }).collect();
    assert_eq!(npy::read_f32s(&folder.read("tail.dropout.npy")?, "(5,)")?, expected);
    Ok(())
}

#[test]
fn tensors_of_a_file_draw_one_after_another() -> TestResult {
    let folder = Folder::new()?;
    folder.write("x.safetensors", &stored::file(&[("a", &[3], &[1.0; 3]), ("b", &[5, 1], &[1.0; 5])], &[])?)?;
    folder.table("dropout x.safetensors --seed 42 --scaling none --mask m.safetensors")?;
    let output = folder.read("x.dropout.safetensors")?;
    let joined = [stored::f32s(&output, "a", &[3])?, stored::f32s(&output, "b", &[5, 1])?].concat();
    assert_eq!(joined, KEPT.map(|kept| f32::from(u8::from(kept))));

    let masks = folder.read("m.safetensors")?;
    let masks = SafeTensors::deserialize(&masks)?;
    assert_eq!((masks.tensor("b")?.dtype(), masks.tensor("b")?.shape()), (Dtype::BOOL, &[5, 1][..]));
    let joined = [masks.tensor("a")?.data(), masks.tensor("b")?.data()].concat();
    assert_eq!(joined, KEPT.map(u8::from));
    Ok(())
}

#[test]
fn channels_are_dropped_together() -> TestResult {
    let folder = Folder::new()?;
    let x: Vec<(&str, &[usize], &[f32])> = vec![("a", &[1, 3, 2], &[1.0; 6]), ("b", &[5, 1, 2], &[1.0; 10])];
    folder.write("x.safetensors", &stored::file(&x, &[])?)?;
    let table = folder.table("dropout x.safetensors --seed 42 --kind channel")?;
    let output = folder.read("x.dropout.safetensors")?;
    let joined = [stored::f32s(&output, "a", &[1, 3, 2])?, stored::f32s(&output, "b", &[5, 1, 2])?].concat();
    let expected: Vec<f32> = KEPT.iter().flat_map(|&kept| [if kept { 2.0 } else { 0.0 }; 2]).collect();
    assert_eq!(joined, expected);
    let kept: Vec<_> = table.iter().map(|row| row["kept"].as_str()).collect();
    assert_eq!(kept, ["-", "33.33%", "-", "40.00%"]);
    Ok(())
}

#[test]
fn alpha_keeps_mean_and_deviation() -> TestResult {
    let folder = Folder::new()?;
    // Mean 0, deviation 1.
    folder.write("x.npy", &npy::f32s("(40000,)", (0..40_000).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 })))?;
    for kind in ["alpha", "feature-alpha"] {
        // 200 x 200 channels of one element each.
        folder.write("y.npy", &npy::f32s("(200, 200, 1)", (0..40_000).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 })))?;
        let input = if kind == "alpha" { "x.npy" } else { "y.npy" };
        let table = folder.table(&format!("dropout {input} --p 0.2 --kind {kind} --force"))?;
        let (mean, std) = (number(&table[1], "mean")?, number(&table[1], "std")?);
        assert!(mean.abs() < 0.03 && (std - 1.0).abs() < 0.03, "{kind}: mean {mean}, deviation {std}");
    }
    Ok(())
}

/// Channels that are last: elements with the same last index share a draw in a sample.
#[test]
fn channels_may_be_on_another_axis() -> TestResult {
    let folder = Folder::new()?;
    folder.write("x.npy", &npy::f32s("(2, 3, 4)", [1.0; 24]))?;
    folder.table("dropout x.npy --seed 42 --kind channel --channel-axis -1 --mask kept.npy")?;
    assert_eq!(mask(&folder.read("kept.npy")?, "(2, 4)")?, KEPT);
    let of = |i: usize| KEPT[i / 12 * 4 + i % 4];
    let expected: Vec<f32> = (0..24).map(|i| if of(i) { 2.0 } else { 0.0 }).collect();
    assert_eq!(npy::read_f32s(&folder.read("x.dropout.npy")?, "(2, 3, 4)")?, expected);
    Ok(())
}
