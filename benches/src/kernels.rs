//! Times the kernels of evenkeel for `kernels.py`, on one thread.
//!
//! Each line of standard input is a command, to which one line of standard output responds:
//!
//! - `run OPERATION DTYPE BYTES ITERATIONS`: the median time of a call, in nanoseconds;
//! - `save OPERATION DTYPE BYTES FILE`: writes the result's bytes.
//!
//! Results are written to buffers that are reused, as in the server. Gradients are clipped in place, as in PyTorch, and
//! restored before each call, which is not timed.

use std::{
    collections::HashMap,
    fs,
    io::{self, BufRead as _},
    sync::{Mutex, PoisonError},
    time::Instant,
};

use evenkeel_kernels::{
    Cancelled, Checkpoint, ClipMode, Clipping, DType, Dropout, DropoutKind, DropoutScaling, NormKind, NormParameters,
    Normalization, TensorMut, TensorRef, clip_gradients_in_place, dropout, encode, normalize,
};

use crate::{
    Result,
    data::{ROW, value},
    statistics::Summary,
};

/// Images: channels, height and width.
const IMAGE: [usize; 3] = [64, 32, 32];
const GROUPS: usize = 32;
const DROPOUT: Dropout = Dropout {
    p: 0.1,
    seed: 42,
    offset: 0,
    kind: DropoutKind::Element,
    scaling: DropoutScaling::Inverted,
    channel_axis: None,
};

/// Executes commands until the end of standard input.
pub(crate) fn answer() -> Result<()> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let mut input = None;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let [verb, operation, dtype, bytes, last] = line.split(' ').collect::<Vec<_>>()[..] else {
            return Err(format!("not a command: {line:?}").into());
        };
        let (operation, dtype) = (Operation::of(operation)?, of_name(dtype)?);
        let input = Input::again(&mut input, operation, dtype, bytes.parse()?);
        match verb {
            "run" => println!("{:.0}", pool.install(|| input.time(operation, last.parse()?))?),
            "save" => {
                fs::write(last, pool.install(|| input.compute(operation, input.gradient(operation)))?)?;
                println!("saved");
            }
            _ => return Err(format!("not a command: {line:?}").into()),
        }
    }
    Ok(())
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Norm(NormKind),
    Clip,
    Dropout,
}

impl Operation {
    fn of(name: &str) -> Result<Self> {
        Ok(match name {
            "clip" => Self::Clip,
            "dropout" => Self::Dropout,
            _ => match NormKind::ALL.into_iter().find(|kind| kind.name() == name) {
                Some(kind) => Self::Norm(kind),
                None => return Err(format!("no such operation: {name}").into()),
            },
        })
    }

    /// Rows, or images for kinds with channels.
    fn shape(self, elements: usize) -> Vec<usize> {
        match self {
            Self::Norm(kind) if kind.has_channels() => {
                let [c, h, w] = IMAGE;
                vec![elements / (c * h * w), c, h, w]
            }
            Self::Norm(_) | Self::Clip | Self::Dropout => vec![elements / ROW, ROW],
        }
    }
}

fn of_name(dtype: &str) -> Result<DType> {
    Ok(match dtype {
        "f32" => DType::F32,
        "f16" => DType::F16,
        "bf16" => DType::Bf16,
        _ => return Err(format!("no such dtype: {dtype}").into()),
    })
}

/// A tensor, and buffers for results.
struct Input {
    dtype: DType,
    shape: Vec<usize>,
    data: Vec<u8>,
    buffers: Buffers,
}

impl Input {
    /// The input of the last command, if it was of this kind, else a new one.
    fn again(last: &mut Option<Self>, operation: Operation, dtype: DType, bytes: usize) -> &mut Self {
        let shape = operation.shape(bytes / dtype.size());
        let kept = last.take().filter(|input| input.dtype == dtype && input.data.len() == bytes);
        let mut input = kept.unwrap_or_else(|| Self {
            dtype,
            shape: Vec::new(),
            data: elements(dtype, bytes / dtype.size()),
            buffers: Buffers::default(),
        });
        input.shape = shape;
        last.insert(input)
    }

    /// The median time of a call, in nanoseconds.
    fn time(&self, operation: Operation, iterations: usize) -> Result<f64> {
        let mut nanos = Vec::with_capacity(iterations);
        for _ in 0..iterations {
            let gradient = self.gradient(operation);
            let started = Instant::now();
            let result = self.compute(operation, gradient)?;
            self.buffers.put(result);
            nanos.push(started.elapsed().as_nanos() as f64);
        }
        Ok(Summary::of(nanos).median)
    }

    /// A copy of the input that the operation replaces by its result; empty for operations that do not replace it.
    fn gradient(&self, operation: Operation) -> Vec<u8> {
        match operation {
            Operation::Norm(_) | Operation::Dropout => Vec::new(),
            Operation::Clip => {
                let mut gradient = self.buffers.buffer(self.data.len());
                gradient.copy_from_slice(&self.data);
                gradient
            }
        }
    }

    fn compute(&self, operation: Operation, mut gradient: Vec<u8>) -> Result<Vec<u8>> {
        let whole = "the size is not a whole shape";
        let input = || TensorRef::new(self.dtype, &self.shape, &self.data).map_err(|_| whole);
        match operation {
            Operation::Norm(kind) => {
                let groups = if kind == NormKind::Group { GROUPS } else { 0 };
                let spec = Normalization { groups, ..Normalization::new(kind) };
                let result = normalize(&spec, &NormParameters::default(), input()?, false, &self.buffers)?;
                Ok(result.output.into_parts().2)
            }
            Operation::Dropout => Ok(dropout(&DROPOUT, input()?, false, &self.buffers)?.output.into_parts().2),
            Operation::Clip => {
                let spec = Clipping::new(ClipMode::Norm, 1.0);
                let view = TensorMut::new(self.dtype, &self.shape, &mut gradient).map_err(|_| whole)?;
                clip_gradients_in_place(&spec, &mut [view], &self.buffers)?;
                Ok(gradient)
            }
        }
    }
}

fn elements(dtype: DType, count: usize) -> Vec<u8> {
    let values: Vec<f64> = (0..count).map(|i| value(i).into()).collect();
    let mut data = vec![0; count * dtype.size()];
    encode(dtype, &values, &mut data);
    data
}

/// Buffers that are reused, by length.
#[derive(Debug, Default)]
struct Buffers(Mutex<HashMap<usize, Vec<Vec<u8>>>>);

impl Buffers {
    fn put(&self, buffer: Vec<u8>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.entry(buffer.len()).or_default().push(buffer);
    }
}

impl Checkpoint for Buffers {
    fn check(&self) -> std::result::Result<(), Cancelled> {
        Ok(())
    }

    fn buffer(&self, len: usize) -> Vec<u8> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get_mut(&len).and_then(Vec::pop).unwrap_or_else(|| vec![0; len])
    }
}
