//! Files that are sent in several calls: the bytes are those of one call for all.

use std::{error::Error, fs, io};

use evenkeel::{config::ServerConfig, server::Running};
use evenkeel_client::{Client, DropoutKind, NormKind, Tensor, half::f16};
use ndarray::{Array1, Array2, ArrayD, IxDyn};
use safetensors::SafeTensors;

use crate::{
    TestResult, npy,
    program::{Folder, ServerProcess},
    stored,
};

/// A server that takes everything in one message, and calls to it.
pub(crate) async fn whole() -> Result<(Running, Client), Box<dyn Error>> {
    let server = Running::start(ServerConfig { max_message_bytes: 256 << 20, ..ServerConfig::on_free_port() }).await?;
    let client = Client::builder().max_message_bytes(256 << 20).connect(server.url()).await?;
    Ok((server, client))
}

/// The flags of a server whose messages are far shorter than the files.
pub(crate) const SMALL: [&str; 2] = ["--max-message-bytes", "131072"];

/// Elements of all kinds, also subnormal and large.
fn elements(count: usize) -> Vec<f32> {
    let element = |i: usize| {
        let bits = (i as u32).wrapping_mul(0x9E37_79B9) ^ 0x5bd1_e995;
        (bits as f32 / u32::MAX as f32 - 0.4) * [1.0, 1e-3, 1e4, 1e-40][i / 1000 % 4]
    };
    (0..count).map(element).collect()
}

pub(crate) fn array(shape: &[usize]) -> Result<ArrayD<f32>, Box<dyn Error>> {
    Ok(ArrayD::from_shape_vec(IxDyn(shape), elements(shape.iter().product()))?)
}

pub(crate) fn write(folder: &Folder, name: &str, array: &ArrayD<f32>) -> io::Result<String> {
    let shape = format!("({})", array.shape().iter().map(|dim| format!("{dim},")).collect::<String>());
    folder.write(name, &npy::f32s(&shape, array.iter().copied()))?;
    Ok(shape)
}

/// The bytes of the last `count` elements of a file.
fn tail(bytes: &[u8], count: usize) -> Vec<u8> {
    bytes[bytes.len() - 4 * count..].to_vec()
}

#[track_caller]
pub(crate) fn same(folder: &Folder, name: &str, expected: impl Into<Tensor>) -> TestResult {
    let expected = expected.into();
    let given = tail(&folder.read(name)?, expected.len());
    let expected = expected.into_le_bytes();
    let differing = given.iter().zip(&expected[..]).position(|(a, b)| a != b);
    assert_eq!(differing, None, "{name} differs from one call's answer at this byte");
    Ok(())
}

/// Each normalization with the way it is cut.
#[tokio::test(flavor = "multi_thread")]
async fn normalizations() -> TestResult {
    let (server, client) = whole().await?;
    let folder = Folder::new()?;
    let small = ServerProcess::start(&SMALL)?;
    for (flags, shape, kind, axes, groups) in [
        ("--kind layer", &[2000, 33][..], NormKind::Layer, &[][..], 0), // rows
        ("--kind rms", &[3, 1000, 33], NormKind::Rms, &[], 0),          // rows of each sample
        ("--kind l2", &[300, 200], NormKind::L2, &[], 0),               // rows
        ("--kind l2", &[20, 30, 100], NormKind::L2, &[], 0),            // columns of each sample
        ("--kind layer --axes 0", &[8, 12_000], NormKind::Layer, &[0], 0), // columns
        ("--kind batch", &[8, 12, 41, 50], NormKind::Batch, &[], 0),    // channels, gathered
        ("--kind instance", &[3, 5, 100, 80], NormKind::Instance, &[], 0), // channels of each sample
        ("--kind group --groups 6", &[2, 12, 50, 60], NormKind::Group, &[], 6), // groups of each sample
        ("--kind group --groups 3", &[64, 12, 10, 12], NormKind::Group, &[], 3), // samples
    ] {
        let x = array(shape)?;
        write(&folder, "x.npy", &x)?;
        let run = folder
            .run(&format!("normalize x.npy {flags} -o y.npy --statistics s.safetensors --server {}", small.url))?;
        run.succeeded();
        let call = client.normalize(&x).kind(kind).axes(axes.iter().copied()).groups(groups);
        let expected = call.return_statistics(true).send().await?;
        same(&folder, "y.npy", expected.output)?;
        let statistics = folder.read("s.safetensors")?;
        for (name, expected) in [("x.mean", expected.mean), ("x.rstd", expected.rstd)] {
            if let Some(expected) = expected {
                let given = stored::f32s(&statistics, name, expected.shape())?;
                assert!(given.iter().map(|x| x.to_bits()).eq(expected.iter().map(|x| x.to_bits())), "{flags}: {name}");
            }
        }
        let axes: Vec<_> = run.rows()[1]["axes"].chars().filter(char::is_ascii_digit).collect();
        assert_eq!(axes.len(), expected.axes.len(), "{flags}");
    }
    drop(client);
    server.shutdown_and_wait().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn normalizations_with_parameters_for_each_channel() -> TestResult {
    let (server, client) = whole().await?;
    let folder = Folder::new()?;
    let small = ServerProcess::start(&SMALL)?;
    let ramp = |len: usize, from: f32| Array1::from_iter((0..len).map(|i| from + i as f32 / 8.0));
    for (shape, channels) in [(&[6, 40, 30, 40][..], 40), (&[5, 3, 45, 80], 3)] {
        let x = array(shape)?;
        write(&folder, "x.npy", &x)?;
        let parameters =
            [("w", 0.5), ("b", -3.0), ("m", 0.0), ("v", 1.0)].map(|(name, from)| (name, ramp(channels, from)));
        for (name, values) in &parameters {
            write(&folder, &format!("{name}.npy"), &values.clone().into_dyn())?;
        }
        let [(_, w), (_, b), (_, m), (_, v)] = &parameters;
        let affine = "--weight w.npy --bias b.npy";
        let running = "--running-mean m.npy --running-var v.npy";
        for (kind, name) in [(NormKind::Batch, "batch"), (NormKind::Instance, "instance")] {
            let own = client.normalize(&x).kind(kind).weight(w).bias(b);
            folder.run(&format!("normalize x.npy --kind {name} {affine} -o y.npy --server {}", small.url))?.succeeded();
            same(&folder, "y.npy", own.clone().send().await?.output)?;
            let with = own.running_statistics(m, v);
            folder
                .run(&format!("normalize x.npy --kind {name} {affine} {running} -o y.npy --server {}", small.url))?
                .succeeded();
            same(&folder, "y.npy", with.clone().send().await?.output)?;
            folder
                .run(&format!(
                    "normalize x.npy --kind {name} {affine} {running} --training -o y.npy --statistics s.safetensors"
                ))?
                .succeeded();
            let updated = with.training(true).send().await?;
            same(&folder, "y.npy", updated.output)?;
            let statistics = folder.read("s.safetensors")?;
            for (name, expected) in [("x.running_mean", updated.running_mean), ("x.running_var", updated.running_var)] {
                let expected: Array1<f32> = expected.ok_or("it was not updated")?.try_into()?;
                assert_eq!(stored::f32s(&statistics, name, &[channels])?, expected.to_vec(), "{name}");
            }
        }
    }
    drop(client);
    server.shutdown_and_wait().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn dropouts() -> TestResult {
    let (server, client) = whole().await?;
    let folder = Folder::new()?;
    let small = ServerProcess::start(&SMALL)?;
    for (name, kind, shape, axis) in [
        ("element", DropoutKind::Element, &[100_001][..], None),
        ("alpha", DropoutKind::Alpha, &[3, 50_003], None),
        ("channel", DropoutKind::Channel, &[501, 30, 10], None),
        ("channel", DropoutKind::Channel, &[2, 2, 70_000], None),
        ("feature-alpha", DropoutKind::FeatureAlpha, &[300, 500], None),
        // Samples, parts of samples, and parts of channels.
        ("channel", DropoutKind::Channel, &[50, 100, 30], Some(-1)),
        ("feature-alpha", DropoutKind::FeatureAlpha, &[2, 300, 20, 11], Some(2)),
        ("channel", DropoutKind::Channel, &[2, 2, 3, 30_000], Some(2)),
    ] {
        let x = array(shape)?;
        write(&folder, "x.npy", &x)?;
        let run = folder.run(&format!(
            "dropout x.npy --p 0.3 --seed 5 --offset 7 --kind {name} {} -o y.npy --mask m.npy --json --server {}",
            axis.map_or_else(String::new, |axis| format!("--channel-axis {axis}")),
            small.url
        ))?;
        run.succeeded();
        let call = client.dropout(&x, 0.3, 5).offset(7).kind(kind).return_mask(true);
        let call = if let Some(axis) = axis { call.channel_axis(axis) } else { call };
        let expected = call.send().await?;
        same(&folder, "y.npy", expected.output)?;
        let mask = expected.mask.ok_or("no mask")?;
        let given = folder.read("m.npy")?;
        let given = &given[given.len() - mask.len()..];
        assert!(given.iter().map(|&bit| bit == 1).eq(mask.iter().copied()), "{name}: the masks differ");
        let json: serde_json::Value = serde_json::from_str(&run.stdout)?;
        assert_eq!(json["tensors"][0]["kept"], expected.kept as f64 / x.len() as f64, "{name}");
    }
    drop(client);
    server.shutdown_and_wait().await?;
    Ok(())
}

/// Gradients in tensors of all sizes and of two types.
#[tokio::test(flavor = "multi_thread")]
async fn clippings() -> TestResult {
    let (server, client) = whole().await?;
    let folder = Folder::new()?;
    let server_of_pieces = ServerProcess::start(&SMALL)?;
    let large = array(&[200, 1000])?;
    let half = Array2::from_shape_fn((100, 700), |(i, j)| f16::from_f32((i as f32 - j as f32) / 97.0));
    let small: Vec<_> = (0..300).map(|i| array(&[i % 7, 5])).collect::<Result<_, _>>()?;
    let mut gradients: Vec<(String, Tensor)> = vec![("large".into(), large.into()), ("half".into(), half.into())];
    gradients.extend(small.into_iter().enumerate().map(|(i, array)| (format!("small.{i:03}"), array.into())));
    folder.write("g.safetensors", &gradients_file(&gradients)?)?;
    for (flags, norm_type, mode, threshold) in [
        ("--mode norm --threshold 0.5", None, "norm", 0.5),
        ("--mode norm --norm-type 1", Some(1.0), "norm", 1.0),
        ("--mode norm --norm-type inf", Some(f64::INFINITY), "norm", 1.0),
        ("--mode norm --norm-type 3", Some(3.0), "norm", 1.0),
        ("--mode norm --threshold 1e9", None, "norm", 1e9),
        ("--mode value --threshold 0.01", None, "value", 0.01),
        ("--mode norm-per-tensor --threshold 0.25", None, "each", 0.25),
    ] {
        // Norms of order 3 do not add up: they need one message.
        let at = if norm_type == Some(3.0) { String::new() } else { format!(" --server {}", server_of_pieces.url) };
        let run = folder.run(&format!("clip g.safetensors {flags} -o y.safetensors --json{at}"))?;
        run.succeeded();
        let input = client.clip_gradients(gradients.iter().map(|(name, tensor)| (name, tensor)));
        let mut call = match mode {
            "norm" => input.by_norm(threshold),
            "value" => input.by_value(threshold),
            _ => input.by_norm_per_tensor(threshold),
        };
        if let Some(norm_type) = norm_type {
            call = call.norm_type(norm_type);
        }
        let expected = call.send().await?;
        let output = folder.read("y.safetensors")?;
        let output = SafeTensors::deserialize(&output)?;
        for gradient in expected.gradients {
            assert!(
                output.tensor(&gradient.name)?.data() == gradient.tensor.into_le_bytes(),
                "{flags}: {}",
                gradient.name
            );
        }
        // As text: serde_json's own reader rounds the last digit of some numbers.
        let has = |key: &str, value: serde_json::Value| {
            assert!(run.stdout.contains(&format!("\"{key}\": {value}")), "{flags}: {}", run.stdout)
        };
        has("total_norm", expected.total_norm.into());
        match mode {
            "norm" => has("factor", expected.scale.into()),
            "value" => has("elements_clipped", expected.clipped_elements.into()),
            _ => has("smallest_factor", expected.scale.into()),
        }
    }
    drop(client);
    server.shutdown_and_wait().await?;
    Ok(())
}

fn gradients_file(gradients: &[(String, Tensor)]) -> Result<Vec<u8>, Box<dyn Error>> {
    let view = |(name, tensor): &(String, Tensor)| {
        let dtype = if tensor.dtype() == evenkeel_client::DType::F16 {
            safetensors::Dtype::F16
        } else {
            safetensors::Dtype::F32
        };
        (name.clone(), dtype, tensor.shape().to_vec(), tensor.clone().into_le_bytes())
    };
    let all: Vec<_> = gradients.iter().map(view).collect();
    let views = all.iter().map(|(name, dtype, shape, data)| {
        Ok((name.as_str(), safetensors::tensor::TensorView::new(*dtype, shape.clone(), data)?))
    });
    let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
    Ok(safetensors::serialize(views, None)?)
}

#[test]
fn gradients_without_a_finite_norm_are_named() -> TestResult {
    let folder = Folder::new()?;
    let mut values = elements(2_000_000);
    values[1_999_999] = f32::INFINITY;
    let fine = elements(100);
    folder.write("g.safetensors", &stored::file(&[("fine", &[100], &fine), ("wrong", &[2_000_000], &values)], &[])?)?;
    for mode in ["norm", "value", "norm-per-tensor"] {
        let run = folder.run(&format!("clip g.safetensors --mode {mode} --error-if-nonfinite"))?;
        run.failed(1, &["not finite: inf", "wrong"]);
        assert!(!run.stderr.contains("fine"), "{}", run.stderr);
        assert_eq!(folder.list()?, ["g.safetensors"]);
    }
    // Without the flag it is as PyTorch has it: finite elements become 0, infinite ones NaN.
    folder.run("clip g.safetensors")?.succeeded();
    let output = stored::f32s(&folder.read("g.clipped.safetensors")?, "wrong", &[2_000_000])?;
    assert!(output[1_999_999].is_nan() && output[..1_999_999].iter().all(|&x| x == 0.0));
    Ok(())
}

#[test]
fn what_cannot_be_cut_is_refused_at_once_and_says_what_helps() -> TestResult {
    let folder = Folder::new()?;
    folder.write("wide.npy", &npy::f32s("(1, 1, 20971520)", std::iter::repeat_n(1.0, 20 << 20)))?;
    write(&folder, "one.npy", &array(&[1])?)?;
    let server = ServerProcess::start(&[])?;
    // The running statistics of instances are averages over samples.
    let averaged = "normalize wide.npy --kind instance --training --running-mean one.npy --running-var one.npy";
    for (command, words) in [
        (averaged, ["tensor 'wide'", "83886080 bytes"]),
        (averaged, ["tensor 'wide'", "--max-message-bytes"]),
        ("clip wide.npy --norm-type 3", ["order 3", "--server be left out"]),
    ] {
        folder.run(&format!("{command} --server {}", server.url))?.failed(1, &words);
    }
    assert_eq!(folder.list()?, ["one.npy", "wide.npy"]);
    // Without --server there is hardly a limit.
    folder.run(&format!("{averaged} --quiet"))?.succeeded();
    folder.run("clip wide.npy --norm-type 3 --quiet")?.succeeded();
    Ok(())
}

/// A model in shards: the parts of one file, and the file that names them.
#[test]
fn shards_are_one_model() -> TestResult {
    let folder = Folder::new()?;
    let (a, b, c) = (elements(1_500_000), elements(10), elements(7));
    let all: [(&str, &[usize], &[f32]); 3] = [("a", &[1_500_000], &a), ("b", &[2, 5], &b), ("c", &[7], &c)];
    folder.write("one.safetensors", &stored::file(&all, &[("format", "pt")])?)?;
    folder.write("m-1-of-2.safetensors", &stored::file(&[all[0], all[2]], &[("format", "pt")])?)?;
    folder.write("m-2-of-2.safetensors", &stored::file(&[all[1]], &[("format", "pt")])?)?;
    let index = |map: &str| format!("{{\"metadata\": {{\"total_size\": 1}}, \"weight_map\": {{{map}}}}}");
    let right = r#""a": "m-1-of-2.safetensors", "b": "m-2-of-2.safetensors", "c": "m-1-of-2.safetensors""#;
    folder.write("m.safetensors.index.json", index(right).as_bytes())?;
    for (command, extension) in
        [("clip", "clipped"), ("normalize --kind rms", "rms"), ("dropout --seed 3 --tensor a", "dropout")]
    {
        folder.run(&format!("{command} one.safetensors"))?.succeeded();
        folder.run(&format!("{command} m.safetensors.index.json"))?.succeeded();
        let (one, shards) = (format!("one.{extension}.safetensors"), format!("m.{extension}.safetensors"));
        assert!(folder.read(&one)? == folder.read(&shards)?, "{command}");
    }
    for (map, words) in [
        (
            r#""a": "m-1-of-2.safetensors", "c": "m-1-of-2.safetensors", "d": "m-2-of-2.safetensors""#,
            ["m-2-of-2", "'d'"],
        ),
        (r#""a": "m-1-of-2.safetensors""#, ["m-1-of-2", "'c'"]),
        (r#""a": "../one.safetensors""#, ["wrong.safetensors.index.json", "'a'"]),
        (r#""a": "missing.safetensors""#, ["missing.safetensors: ", "No such file"]),
        (r#""a": 1"#, ["wrong.safetensors.index.json", "'a'"]),
    ] {
        folder.write("wrong.safetensors.index.json", index(map).as_bytes())?;
        folder.run("clip wrong.safetensors.index.json")?.failed(1, &words);
    }
    folder.write("wrong.safetensors.index.json", b"{}")?;
    folder.run("clip wrong.safetensors.index.json")?.failed(1, &["weight_map"]);
    Ok(())
}

/// The input has 4.4 GB, nearly all of them a hole that takes no disk.
#[test]
#[ignore = "it takes half a minute, and 4.4 GB of disk"]
fn a_shard_of_more_than_four_gigabytes() -> TestResult {
    let folder = Folder::new()?;
    let count = 1_100_000_000_u64;
    let header =
        format!("{{\"w\":{{\"dtype\":\"F32\",\"shape\":[{},1000],\"data_offsets\":[0,{}]}}}}", count / 1000, 4 * count);
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    folder.write("m.safetensors", &bytes)?;
    fs::File::options().write(true).open(folder.path("m.safetensors"))?.set_len(bytes.len() as u64 + 4 * count)?;
    for command in ["clip m.safetensors -o y.safetensors", "normalize m.safetensors --kind layer -o y.safetensors"] {
        folder.run(&format!("{command} --quiet"))?.succeeded();
        assert_eq!(fs::metadata(folder.path("y.safetensors"))?.len() / 1000, 4 * count / 1000, "{command}");
    }
    Ok(())
}
