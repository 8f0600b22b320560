//! `evenkeel clip`.

use safetensors::SafeTensors;

use crate::{
    TestResult, npy,
    program::{Folder, number},
    stored,
};

/// All elements of all tensors of a file of float32, in the order of the tensors' names.
fn elements(bytes: &[u8]) -> Result<Vec<f32>, Box<dyn std::error::Error>> {
    let file = SafeTensors::deserialize(bytes)?;
    let mut all = Vec::new();
    for name in stored::names(bytes)? {
        all.extend(stored::f32s(bytes, &name, file.tensor(&name)?.shape())?);
    }
    Ok(all)
}

fn norm(values: &[f32]) -> f64 {
    values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn shipped_gradients_by_one_norm() -> TestResult {
    let folder = Folder::with(&["gradients.safetensors"])?;
    let run = folder.run("clip gradients.safetensors --threshold 5")?;
    run.succeeded();
    let (input, output) = (folder.read("gradients.safetensors")?, folder.read("gradients.clipped.safetensors")?);
    assert_eq!(stored::names(&output)?, stored::names(&input)?);
    assert_eq!(stored::metadata(&output)?, stored::metadata(&input)?);
    assert!(!stored::metadata(&output)?.is_empty());

    let (x, y) = (elements(&input)?, elements(&output)?);
    let total = norm(&x);
    let scale = 5.0 / (total + 1e-6);
    for (x, y) in x.iter().zip(&y) {
        let exact = f64::from(*x) * scale;
        assert!((f64::from(*y) - exact).abs() <= 0.5 * f64::from(f32::EPSILON) * exact.abs() + 1e-45, "{y}, {exact}");
    }
    assert!((norm(&y) - 5.0).abs() < 1e-5);
    let footer = run.footer();
    let numbers: Vec<f64> = footer[0].split([' ', ',']).filter_map(|word| word.parse().ok()).collect();
    let [printed_total, printed_scale] = numbers[..] else { return Err(format!("{footer:?}").into()) };
    assert!((printed_total / total - 1.0).abs() < 1e-5 && (printed_scale / scale - 1.0).abs() < 1e-5, "{footer:?}");
    assert_eq!(footer[1], "wrote gradients.clipped.safetensors");

    // Each tensor before and after, in pairs; norms shrink by the factor.
    let table = run.rows();
    assert_eq!(table.len(), 16);
    for pair in table.chunks(2) {
        assert_eq!([&pair[0]["state"], &pair[1]["state"]], ["before", "after"]);
        assert_eq!(pair[0]["tensor"], pair[1]["tensor"]);
        let ratio = number(&pair[1], "norm")? / number(&pair[0], "norm")?;
        assert!((ratio / scale - 1.0).abs() < 1e-4, "{pair:?}");
    }
    Ok(())
}

#[test]
fn shipped_gradients_by_value() -> TestResult {
    let folder = Folder::with(&["gradients.safetensors"])?;
    let run = folder.run("clip gradients.safetensors --mode value --threshold 0.25 -o y.safetensors")?;
    run.succeeded();
    let x = elements(&folder.read("gradients.safetensors")?)?;
    let clamped: Vec<f32> = x.iter().map(|x| x.clamp(-0.25, 0.25)).collect();
    assert_eq!(elements(&folder.read("y.safetensors")?)?, clamped);

    let outside = x.iter().filter(|x| x.abs() > 0.25).count();
    assert!(run.footer()[0].ends_with(&format!("elements clipped: {outside}")), "{}", run.stdout);
    let input = folder.read("gradients.safetensors")?;
    let weight = stored::f32s(&input, "fc1.weight", SafeTensors::deserialize(&input)?.tensor("fc1.weight")?.shape())?;
    let share = weight.iter().filter(|x| x.abs() > 0.25).count() as f64 / weight.len() as f64;
    let table = run.rows();
    let row = table.iter().find(|row| row["tensor"] == "fc1.weight" && row["state"] == "after").ok_or("no such row")?;
    assert!((number(row, "clipped")? - share).abs() <= 5e-5, "{row:?}");
    Ok(())
}

#[test]
fn chosen_tensors_are_clipped_by_their_norm_alone() -> TestResult {
    let folder = Folder::new()?;
    let tensors: [(&str, &[usize], &[f32]); 3] = [("a", &[1], &[3.0]), ("b", &[1, 1], &[4.0]), ("c", &[], &[100.0])];
    folder.write("x.safetensors", &stored::file(&tensors, &[("who", "a test")])?)?;
    let run = folder.run("clip x.safetensors --tensor b --tensor a")?;
    run.succeeded();
    assert_eq!(run.footer()[0], "total norm 5.00000, factor 0.200000");
    let output = folder.read("x.clipped.safetensors")?;
    assert_eq!(stored::names(&output)?, ["a", "b"]);
    let scale = 1.0 / (5.0 + 1e-6);
    assert_eq!(stored::f32s(&output, "a", &[1])?, [(3.0 * scale) as f32]);
    assert_eq!(stored::metadata(&output)?["who"], "a test");

    let run = folder.run("clip x.safetensors --mode norm-per-tensor --threshold 4 --force")?;
    run.succeeded();
    assert_eq!(run.footer()[0], format!("total norm {:.3}, smallest factor 0.0400000", 10_025_f64.sqrt()));
    let output = folder.read("x.clipped.safetensors")?;
    assert_eq!(stored::f32s(&output, "a", &[1])?, [3.0]);
    assert_eq!(stored::f32s(&output, "c", &[])?, [(100.0 * (4.0 / (100.0 + 1e-6))) as f32]);
    Ok(())
}

#[test]
fn other_norms_and_norms_from_elsewhere() -> TestResult {
    let folder = Folder::new()?;
    folder.write("x.npy", &npy::f64s("(3,)", [1.0, -2.0, 5.0]))?;
    for (flags, total, scale) in [
        ("--norm-type inf", 5.0, 2.0 / (5.0 + 1e-6)),
        ("--norm-type 1", 8.0, 2.0 / (8.0 + 1e-6)),
        ("--total-norm 20", 20.0, 2.0 / (20.0 + 1e-6)),
        ("--total-norm 0.5", 0.5, 1.0),
    ] {
        let run = folder.run(&format!("clip x.npy --threshold 2 {flags} --force"))?;
        run.succeeded();
        assert!(run.footer()[0].starts_with(&format!("total norm {total}")), "{}", run.stdout);
        let y = npy::read_f64s(&folder.read("x.clipped.npy")?, "(3,)")?;
        assert_eq!(y, [scale, -2.0 * scale, 5.0 * scale], "{flags}");
    }
    Ok(())
}

#[test]
fn a_norm_that_is_not_finite_can_be_refused() -> TestResult {
    let folder = Folder::new()?;
    folder.write("x.npy", &npy::f32s("(2,)", [1.0, f32::NAN]))?;
    folder.run("clip x.npy --error-if-nonfinite")?.failed(1, &["x.npy: ", "not finite: NaN"]);
    assert_eq!(folder.list()?, ["x.npy"]);

    let table = folder.table("clip x.npy")?;
    assert_eq!(table[1]["norm"], "NaN");
    assert!(npy::read_f32s(&folder.read("x.clipped.npy")?, "(2,)")?.iter().all(|y| y.is_nan()));
    Ok(())
}

#[test]
fn the_norm_has_no_epsilon_and_is_held_on_request() -> TestResult {
    let folder = Folder::new()?;
    let gradients = [1.0_f32, 3.0];
    folder.write("g.npy", &npy::f32s("(2,)", gradients))?;
    let clip = |flags: &str| -> Result<Vec<f32>, Box<dyn std::error::Error>> {
        folder.run(&format!("clip g.npy {flags} -o clipped.npy"))?.succeeded();
        npy::read_f32s(&folder.read("clipped.npy")?, "(2,)")
    };
    let scaled = |scale: f64| gradients.map(|x| (f64::from(x) * scale) as f32).to_vec();
    let norm_of_all = 10_f64.sqrt();
    assert_eq!(clip("--threshold 1 --epsilon 1")?, scaled(1.0 / (norm_of_all + 1.0)));
    let usual = clip("--threshold 1 --epsilon 0")?;
    assert_eq!(usual, scaled(1.0 / norm_of_all));
    // The squares of float32 are exact in float64, and so near enough is their sum.
    assert!(norm(&usual) > 1.0, "it is above by a rounding");
    assert!(norm(&clip("--threshold 1 --epsilon 0 --not-above")?) <= 1.0);
    let refused = folder.run("clip g.npy --threshold 1 --mode value --epsilon 0 -o refused.npy")?;
    refused.refused(&["--epsilon"]);
    Ok(())
}
