//! `evenkeel payload`: requests as files.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use evenkeel_proto::{FILE_DESCRIPTOR_SET, v1 as pb};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Deserializer, Value};

use crate::{TestResult, program::Folder};

/// 64-bit FNV-1a.
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

/// The request in binary.
fn binary(folder: &Folder, arguments: &str) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let run = folder.run(&format!("payload {arguments} --output x.bin"))?;
    run.succeeded();
    assert!(run.stdout.starts_with("wrote x.bin: "), "{}", run.stdout);
    Ok(folder.read("x.bin")?)
}

/// The bytes are those that a program of its own has made with NumPy's Philox and by protobuf's rules.
#[test]
fn the_bytes_are_the_same_on_every_machine() -> TestResult {
    let folder = Folder::new()?;
    for (arguments, seed, len, expected) in [
        ("Normalize --shape 2,3", 7, 36, 0x548d_1fc5_fd0a_2cd2),
        ("Dropout --shape 5 --dtype float16 --set p=0.25 --set seed=42", 1, 30, 0x65b6_0325_bac4_7992),
        ("ClipGradients --shape 2,2 --tensors 2 --dtype bfloat16", 0, 71, 0xf04e_6f7a_8b77_b154),
        (
            "NormalizeBackward --shape 4,8,2 --set kind=batch --with weight,bias,running --dtype float64",
            3,
            1344,
            0x1ab7_58c0_d404_7dda,
        ),
        ("NormalizeStream --shape 3,4 --chunk 32", 0, 67, 0x6781_cd28_0a66_5728),
    ] {
        let bytes = binary(&folder, &format!("{arguments} --seed {seed}"))?;
        assert_eq!((bytes.len(), digest(&bytes)), (len, expected), "{arguments}");
        let other = binary(&folder, &format!("{arguments} --seed {}", seed + 1))?;
        assert_eq!((other.len(), digest(&other) == expected), (len, false), "{arguments}");
    }
    Ok(())
}

#[test]
fn parameters_and_tensors_are_in_the_request() -> TestResult {
    let folder = Folder::new()?;
    let arguments = "Normalize --shape 2,6,4 --set kind=group --set groups=3 --set axes=-1,1 --set eps=1e-3 \
                     --set return_statistics=true --set channel_axis=1 --with bias,weight";
    let request = pb::NormalizeRequest::decode(&binary(&folder, arguments)?[..])?;
    let pb::NormalizeRequest { weight, bias, input, ref running_mean, .. } = request.clone();
    let (weight, bias, input) = (weight.ok_or("weight")?, bias.ok_or("bias")?, input.ok_or("input")?);
    assert_eq!((request.kind(), request.groups, &request.axes[..]), (pb::NormKind::Group, 3, &[-1, 1][..]));
    assert_eq!((request.eps, request.channel_axis, request.training), (Some(1e-3), Some(1), None));
    assert!(request.return_statistics && running_mean.is_none());
    assert_eq!([&weight.shape, &bias.shape, &input.shape], [&vec![6], &vec![6], &vec![2, 6, 4]]);
    assert_eq!([weight.data.len(), bias.data.len(), input.data.len()], [24, 24, 192]);

    let request = pb::ClipGradientsRequest::decode(
        &binary(
            &folder,
            "ClipGradients --shape 3 --shape scalar --set mode=norm-per-tensor --set norm_type=inf --float-data",
        )?[..],
    )?;
    assert_eq!((request.mode(), request.threshold), (pb::ClipMode::NormPerTensor, Some(1.0)));
    assert_eq!(request.norm_type, Some(f64::INFINITY));
    let shapes: Vec<_> =
        request.gradients.iter().map(|it| (&it.shape[..], it.float_data.len(), it.data.len())).collect();
    assert_eq!(shapes, [(&[3][..], 3, 0), (&[], 1, 0)]);

    let request = pb::DropoutRequest::decode(&binary(&folder, "evenkeel.v1.TensorOpsService/Dropout --shape 4")?[..])?;
    assert_eq!((request.p, request.seed, request.kind()), (Some(0.1), 0, pb::DropoutKind::Unspecified));
    assert!(binary(&folder, "GetServerInfo")?.is_empty());
    Ok(())
}

/// The messages in JSON, read by their descriptors alone, are those in binary.
#[test]
fn json_and_binary_are_the_same_messages() -> TestResult {
    let folder = Folder::new()?;
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET)?;
    for (arguments, request, is_stream) in [
        ("Normalize --shape 2,3 --with weight", "NormalizeRequest", false),
        ("NormalizeBackward --shape 2,3 --dtype float64", "NormalizeBackwardRequest", false),
        ("Dropout --shape 7 --dtype float16 --set seed=18446744073709551615", "DropoutRequest", false),
        ("DropoutBackward --shape 7 --dtype bfloat16", "DropoutBackwardRequest", false),
        ("ClipGradients --shape 2,2 --tensors 3 --float-data --set norm_type=inf", "ClipGradientsRequest", false),
        ("MeasureGradients --shape 5", "MeasureGradientsRequest", true),
        ("MeasureStatistics --shape 3,4 --chunk 5", "MeasureStatisticsRequest", true),
        ("MeasureStatistics --shape 3,4 --set kind=batch --backward", "MeasureStatisticsRequest", true),
        ("NormalizeStream --shape 3,4 --chunk 7 --with weight", "NormalizeStreamRequest", true),
        ("DropoutStream --shape 3,4", "DropoutStreamRequest", true),
        ("DropoutStream --shape 3,4 --backward", "DropoutStreamRequest", true),
        ("ClipGradientsStream --shape 3,4 --shape 2", "ClipGradientsStreamRequest", true),
        ("GetServerInfo", "GetServerInfoRequest", false),
    ] {
        let descriptor = pool.get_message_by_name(&format!("evenkeel.v1.{request}")).ok_or(request)?;
        let mut rest = &binary(&folder, arguments)?[..];
        let mut messages = Vec::new();
        if is_stream {
            while !rest.is_empty() {
                let len = usize::try_from(prost::encoding::decode_varint(&mut rest)?)?;
                messages.push(DynamicMessage::decode(descriptor.clone(), &rest[..len])?);
                rest = &rest[len..];
            }
        } else {
            messages.push(DynamicMessage::decode(descriptor.clone(), rest)?);
        }
        assert!(messages.len() == 1 || is_stream);
        for format in ["json", "json-lines"] {
            let run = folder.run(&format!("payload {arguments} --format {format}"))?;
            run.succeeded();
            let mut read = Vec::new();
            for value in Deserializer::from_str(&run.stdout).into_iter::<Value>() {
                let value = value?;
                match value.as_array().filter(|_| format == "json" && is_stream) {
                    Some(values) => read.extend(values.iter().cloned()),
                    None => read.push(value),
                }
            }
            let read = read.into_iter().map(|value| DynamicMessage::deserialize(descriptor.clone(), value));
            assert_eq!(read.collect::<Result<Vec<_>, _>>()?, messages, "{arguments}, {format}");
        }
    }
    Ok(())
}

#[test]
fn json_is_protobufs() -> TestResult {
    let folder = Folder::new()?;
    let bytes = binary(&folder, "Dropout --shape 2,2 --set seed=3 --set kind=channel")?;
    let run = folder.run("payload Dropout --shape 2,2 --set seed=3 --set kind=channel -o x.json --quiet")?;
    run.succeeded();
    assert_eq!(run.stdout, "");
    let json: Value = serde_json::from_slice(&folder.read("x.json")?)?;
    let data = pb::DropoutRequest::decode(&bytes[..])?.input.ok_or("no input")?.data;
    let expected = serde_json::json!({
        "p": 0.1,
        "seed": "3",
        "kind": "DROPOUT_KIND_CHANNEL",
        "input": { "dtype": "DATA_TYPE_FLOAT32", "shape": ["2", "2"], "data": BASE64_STANDARD.encode(data) },
    });
    assert_eq!(json, expected);
    assert_eq!(folder.list()?, ["x.bin", "x.json"]);
    Ok(())
}

#[test]
fn what_cannot_be_made_is_refused_by_the_name_of_its_argument() -> TestResult {
    let folder = Folder::new()?;
    for (arguments, words) in [
        ("", &["<CALL>"][..]),
        ("normalise", &["CALL", "NormalizeBackward"]),
        ("Normalize --shape 2,x", &["--shape", "64,1024"]),
        ("Normalize --shape 2,-1", &["--shape"]),
        ("Normalize --dtype float8", &["--dtype", "bfloat16"]),
        ("Normalize --shape 2 --shape 3", &["--shape", "gradients"]),
        ("Dropout --tensors 2", &["--tensors", "gradients"]),
        ("Normalize --set eps", &["--set", "NAME=VALUE"]),
        ("Normalize --set epsilon=1", &["--set", "'epsilon'", "eps", "channel_axis"]),
        ("Normalize --set input=1", &["--set", "'input'"]),
        ("Normalize --set kind=layers", &["--set", "'kind'", "'layers'", "group"]),
        ("Normalize --set axes=1,x", &["--set", "'axes'", "list"]),
        ("Normalize --set groups=-1", &["--set", "'groups'"]),
        ("Normalize --set eps=1 --set eps=2", &["--set", "'eps'", "twice"]),
        ("Normalize --set kind=l2 --with weight", &["--with", "l2"]),
        ("Normalize --with running", &["--with", "running", "batch"]),
        ("Normalize --with weight,weight", &["--with", "twice"]),
        ("Normalize --set kind=batch --shape 3 --with weight", &["--with", "channel_axis"]),
        ("Dropout --with weight", &["--with", "normalizations"]),
        ("Dropout --backward", &["--backward", "DropoutStream"]),
        ("NormalizeStream --float-data", &["--float-data", "bytes"]),
        ("NormalizeStream --chunk 0", &["--chunk"]),
        ("GetServerInfo --shape 3", &["--shape", "empty"]),
        ("Normalize --shape 1048576,1024", &["--shape", "4294967296", "2147483647"]),
        ("Normalize --shape 9223372036854775807,9223372036854775807", &["--shape", "2147483647"]),
        ("ClipGradients --shape 0 --tensors 2000000", &["--tensors", "1048576"]),
        ("Normalize --output=x/y/z", &["x/y/z", "no such folder"]),
    ] {
        let run = folder.run(&format!("payload {arguments}"))?;
        let code = if words[0] == "x/y/z" { 1 } else { 64 };
        assert_eq!((run.code, run.stdout.len()), (Some(code), 0), "{arguments}: {}", run.stderr);
        for word in words {
            assert!(
                run.stderr.to_lowercase().contains(&word.to_lowercase()),
                "{arguments}: '{word}' is not in: {}",
                run.stderr
            );
        }
    }
    assert!(folder.list()?.is_empty());
    Ok(())
}
