//! Writes the binary requests of the load test: `cargo run --example load_payloads -- FOLDER`.
//!
//! Each file is one serialized request, as ghz takes with `--binary-file`: Normalize, Dropout and ClipGradients with
//! 256 KiB and with 4 MiB of float32. They are generated rather than committed because they are large, and here rather
//! than in a script because this needs nothing but Rust. The same bytes come out every time.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use bytes::Bytes;
use evenkeel_proto::v1::{
    ClipGradientsRequest, ClipMode, DataType, DropoutRequest, NormKind, NormalizeRequest, Tensor,
};
use prost::Message;

/// The length of the normalized rows: the hidden size of a small transformer.
const ROW: usize = 1024;
/// A gradient comes as several parameters, so that the norm is taken over more than one tensor.
const PARAMETERS: usize = 16;

fn main() -> ExitCode {
    let Some(folder) = env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: load_payloads FOLDER");
        return ExitCode::from(64);
    };
    match write_all(&folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load_payloads: {}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}

fn write_all(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (size, bytes) in [("256k", 256 << 10), ("4m", 4 << 20)] {
        let elements = bytes / size_of::<f32>();
        write(folder, "normalize", size, &normalize(elements))?;
        write(folder, "dropout", size, &dropout(elements))?;
        write(folder, "clip", size, &clip(elements))?;
    }
    Ok(())
}

fn write(folder: &Path, operation: &str, size: &str, request: &impl Message) -> io::Result<()> {
    fs::write(folder.join(format!("{operation}-{size}.bin")), request.encode_to_vec())
}

/// Layer normalization of rows, without weight and bias.
fn normalize(elements: usize) -> NormalizeRequest {
    NormalizeRequest {
        kind: NormKind::Layer.into(),
        input: Some(tensor("activations", &[elements / ROW, ROW])),
        ..NormalizeRequest::default()
    }
}

fn dropout(elements: usize) -> DropoutRequest {
    DropoutRequest {
        p: Some(0.1),
        seed: 42,
        input: Some(tensor("activations", &[elements / ROW, ROW])),
        ..DropoutRequest::default()
    }
}

/// Clipping by the global norm, with a threshold that is exceeded: all elements are scaled.
fn clip(elements: usize) -> ClipGradientsRequest {
    ClipGradientsRequest {
        mode: ClipMode::Norm.into(),
        threshold: Some(1.0),
        gradients: (0..PARAMETERS)
            .map(|index| tensor(&format!("layers.{index}.weight"), &[elements / PARAMETERS / 64, 64]))
            .collect(),
        ..ClipGradientsRequest::default()
    }
}

/// Values in [-0.5, 0.5) that do not repeat: the multiples of the golden ratio, whose fractions spread evenly.
fn tensor(name: &str, shape: &[usize]) -> Tensor {
    const GOLDEN_RATIO: u32 = 0x9E37_79B9; // as a fraction of 2^32
    let elements: usize = shape.iter().product();
    let values = (0u32..).take(elements).map(|index| index.wrapping_mul(GOLDEN_RATIO));
    let data: Bytes = values.flat_map(|bits| (bits as f32 / 4_294_967_296.0 - 0.5).to_le_bytes()).collect();
    Tensor {
        name: name.to_owned(),
        dtype: DataType::Float32.into(),
        shape: shape.iter().map(|&dimension| dimension as i64).collect(),
        data,
        ..Tensor::default()
    }
}
