//! Normalizations of sets that no message holds.

use evenkeel_client::NormKind;
use ndarray::Array1;

use crate::{
    TestResult,
    pieces::{SMALL, array, same, whole, write},
    program::{Folder, ServerProcess},
    stored,
};

/// Sets that no message holds: their statistics are measured part by part, and merge. The bytes are those of one call with the
/// statistics of all.
#[tokio::test(flavor = "multi_thread")]
async fn normalizations_in_two_passes() -> TestResult {
    let (server, client) = whole().await?;
    let folder = Folder::new()?;
    let small = ServerProcess::start(&SMALL)?;
    let vector = |len: usize, from: f32| Array1::from_iter((0..len).map(|i| from + (i % 16) as f32 / 8.0));
    for (flags, shape, kind, groups, parameters) in [
        ("--kind batch", &[9, 3, 100, 50][..], NormKind::Batch, 0, 3), // some samples
        ("--kind batch", &[2, 3, 200, 210], NormKind::Batch, 0, 3),    // some rows of a channel of a sample
        ("--kind batch", &[4000, 40], NormKind::Batch, 0, 40),         // channels that are last
        ("--kind instance", &[2, 2, 200, 200], NormKind::Instance, 0, 2),
        ("--kind group --groups 2", &[2, 6, 100, 120], NormKind::Group, 2, 6), // some channels of a group
        ("--kind group --groups 2", &[1, 6, 200, 220], NormKind::Group, 2, 6), // some rows of a channel
        ("--kind layer", &[3, 60_000], NormKind::Layer, 0, 60_000),
        ("--kind rms", &[2, 3, 40_000], NormKind::Rms, 0, 40_000),
        ("--kind l2", &[100_000], NormKind::L2, 0, 0),
    ] {
        let x = array(shape)?;
        write(&folder, "x.npy", &x)?;
        let (w, b) = (vector(parameters, 0.5), vector(parameters, -3.0));
        write(&folder, "w.npy", &w.clone().into_dyn())?;
        write(&folder, "b.npy", &b.clone().into_dyn())?;
        let mut call = client.normalize(&x).kind(kind).groups(groups);
        let mut affine = String::new();
        if parameters > 0 {
            call = call.weight(&w).bias(&b);
            affine = " --weight w.npy --bias b.npy".to_owned();
        }
        let run = folder.run(&format!(
            "normalize x.npy {flags}{affine} -o y.npy --statistics s.safetensors --server {}",
            small.url
        ))?;
        run.succeeded();
        let partial = client.measure_statistics(&x).kind(kind).groups(groups).send().await?;
        let expected = call.return_statistics(true).statistics(&partial).send().await?;
        same(&folder, "y.npy", expected.output)?;
        let statistics = folder.read("s.safetensors")?;
        for (name, expected) in [("x.mean", expected.mean), ("x.rstd", expected.rstd)] {
            if let Some(expected) = expected {
                let given = stored::f32s(&statistics, name, expected.shape())?;
                assert!(given.iter().map(|x| x.to_bits()).eq(expected.iter().map(|x| x.to_bits())), "{flags}: {name}");
            }
        }
    }
    // Running statistics are updated with those of all parts.
    let x = array(&[9, 3, 100, 50])?;
    let (m, v) = (vector(3, 0.0), vector(3, 1.0));
    for (name, array) in [("x.npy", x.clone()), ("m.npy", m.clone().into_dyn()), ("v.npy", v.clone().into_dyn())] {
        write(&folder, name, &array)?;
    }
    let flags = "--kind batch --training --running-mean m.npy --running-var v.npy --statistics s.safetensors -o y.npy";
    folder.run(&format!("normalize x.npy {flags} --server {}", small.url))?.succeeded();
    let partial = client.measure_statistics(&x).kind(NormKind::Batch).send().await?;
    let call = client.normalize(&x).kind(NormKind::Batch).running_statistics(&m, &v).training(true);
    let updated = call.statistics(&partial).send().await?;
    same(&folder, "y.npy", updated.output)?;
    let statistics = folder.read("s.safetensors")?;
    for (name, expected) in [("x.running_mean", updated.running_mean), ("x.running_var", updated.running_var)] {
        let expected: Array1<f32> = expected.ok_or("it was not updated")?.try_into()?;
        assert_eq!(stored::f32s(&statistics, name, &[3])?, expected.to_vec(), "{name}");
    }
    drop(client);
    server.shutdown_and_wait().await?;
    Ok(())
}
