//! `.safetensors` files of float32, written and read by the format's own crate.

use std::{collections::HashMap, error::Error};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};

/// A file of float32 tensors.
pub(crate) fn file(tensors: &[(&str, &[usize], &[f32])], metadata: &[(&str, &str)]) -> Result<Vec<u8>, Box<dyn Error>> {
    let data: Vec<Vec<u8>> =
        tensors.iter().map(|(_, _, values)| values.iter().flat_map(|value| value.to_le_bytes()).collect()).collect();
    let views = tensors
        .iter()
        .zip(&data)
        .map(|((name, shape, _), data)| Ok((*name, TensorView::new(Dtype::F32, shape.to_vec(), data)?)));
    let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
    let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Ok(safetensors::serialize(views, Some(metadata))?)
}

/// The elements of a float32 tensor of this shape.
pub(crate) fn f32s(bytes: &[u8], name: &str, shape: &[usize]) -> Result<Vec<f32>, Box<dyn Error>> {
    let file = SafeTensors::deserialize(bytes)?;
    let tensor = file.tensor(name)?;
    if (tensor.dtype(), tensor.shape()) != (Dtype::F32, shape) {
        return Err(format!("{name} is {:?} of shape {:?}", tensor.dtype(), tensor.shape()).into());
    }
    let (elements, []) = tensor.data().as_chunks() else { return Err("not whole elements".into()) };
    Ok(elements.iter().map(|&element| f32::from_le_bytes(element)).collect())
}

/// The names of the tensors, sorted.
pub(crate) fn names(bytes: &[u8]) -> Result<Vec<String>, Box<dyn Error>> {
    let file = SafeTensors::deserialize(bytes)?;
    let mut names: Vec<_> = file.names().into_iter().map(str::to_owned).collect();
    names.sort();
    Ok(names)
}

/// The metadata of a file.
pub(crate) fn metadata(bytes: &[u8]) -> Result<HashMap<String, String>, Box<dyn Error>> {
    Ok(SafeTensors::read_metadata(bytes)?.1.metadata().clone().unwrap_or_default())
}
