//! The statistics of a tensor, joined from those of its pieces, and their file.

use bytes::Bytes;
use evenkeel_client::DType;
use evenkeel_proto::v1 as pb;

use crate::cli::{
    error::Error,
    files::{Contents, Form, Output, Target, element},
    opened::{Entry, Opened},
    run,
};

/// The names of the statistics, behind that of their tensor.
const NAMES: [&str; 4] = ["mean", "rstd", "running_mean", "running_var"];

/// The statistics that the server returns beside the result.
#[derive(Clone, Debug, Default)]
pub(super) struct Statistics {
    pub(super) mean: Option<pb::Tensor>,
    pub(super) rstd: Option<pb::Tensor>,
    pub(super) running_mean: Option<pb::Tensor>,
    pub(super) running_var: Option<pb::Tensor>,
}

impl Statistics {
    /// Those of a tensor, from those of its pieces in order. `shape`: that of mean and rstd.
    pub(super) fn join(parts: Vec<Self>, shape: Vec<usize>) -> Result<Self, run::Failure> {
        let (mut means, mut rstds) = (Vec::new(), Vec::new());
        let (mut running_means, mut running_vars) = (Vec::new(), Vec::new());
        for Self { mean, rstd, running_mean, running_var } in parts {
            means.extend(mean);
            rstds.extend(rstd);
            running_means.extend(running_mean);
            running_vars.extend(running_var);
        }
        Ok(Self {
            mean: join("mean", means, Some(&shape))?,
            rstd: join("rstd", rstds, Some(&shape))?,
            running_mean: join("running_mean", running_means, None)?,
            running_var: join("running_var", running_vars, None)?,
        })
    }
}

/// Concatenates tensors; a single one stays as it is. `shape`: that of the result; `None`: one dimension.
fn join(
    field: &'static str,
    mut parts: Vec<pb::Tensor>,
    shape: Option<&[usize]>,
) -> Result<Option<pb::Tensor>, run::Failure> {
    if parts.len() <= 1 {
        return Ok(parts.pop());
    }
    let dtype = parts[0].dtype;
    let size = element::from_wire(dtype).map_or(1, |dtype| dtype.size());
    let data: Bytes = parts.iter().map(|part| &part.data[..]).collect::<Vec<_>>().concat().into();
    let count = data.len() / size;
    let shape = shape.map_or_else(|| vec![count], <[usize]>::to_vec);
    if shape.iter().product::<usize>() != count {
        return Err(run::broken(field, format!("has {count} elements for the shape {shape:?}")));
    }
    let shape = shape.into_iter().map(|dim| i64::try_from(dim).unwrap_or(i64::MAX)).collect();
    Ok(Some(pb::Tensor { dtype, shape, data, ..pb::Tensor::default() }))
}

/// The forms of one number for each tensor and statistic, to see early whether a file can hold their names.
pub(super) fn placeholders(opened: &Opened) -> Vec<Form> {
    let computed = opened.tensors().filter(|entry| entry.computed);
    let form = |entry: Entry<'_>, statistic: &str| {
        let name = format!("{}.{statistic}", entry.tensor.name);
        Form { name, dtype: element::stored(DType::F32), shape: Vec::new(), len: DType::F32.size() }
    };
    computed.flat_map(|entry| NAMES.map(|statistic| form(entry, statistic))).collect()
}

/// Writes the statistics of tensors, by their names, to a file that is open.
pub(super) fn write(target: &Target, output: Output, all: Vec<(String, Statistics)>) -> Result<Output, Error> {
    let mut tensors = Vec::new();
    for (name, Statistics { mean, rstd, running_mean, running_var }) in all {
        for (statistic, tensor) in NAMES.into_iter().zip([mean, rstd, running_mean, running_var]) {
            let Some(tensor) = tensor else { continue };
            let dtype = element::from_wire(tensor.dtype)
                .ok_or_else(|| Error::file(target.path(), format!("'{statistic}' has an unknown type")))?;
            let shape = tensor.shape.iter().map(|&dim| usize::try_from(dim).unwrap_or(0)).collect();
            let name = format!("{name}.{statistic}");
            let form = Form { name, dtype: element::stored(dtype), shape, len: tensor.data.len() };
            tensors.push((form, tensor.data));
        }
    }
    let forms: Vec<Form> = tensors.iter().map(|(form, _)| form.clone()).collect();
    let (header, offsets) = target.lay_out(&forms, &Contents::default())?;
    let writer = output.writer();
    writer.write(0, &header)?;
    for ((_, data), offset) in tensors.iter().zip(offsets) {
        writer.write(offset, data)?;
    }
    Ok(output)
}
