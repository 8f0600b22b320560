//! The tensors beside the input: weight, bias, running mean, running variance.

use std::{ops::Range, sync::Arc};

use evenkeel_proto::v1 as pb;

use super::Options;
use crate::cli::{
    error::Error,
    files::{Read, TensorPath, element},
};

/// The tensors, as they were read, and the files that they were read from.
#[derive(Clone, Debug)]
pub(super) struct Parameters {
    tensors: [Option<pb::Tensor>; 4],
    opened: Arc<Vec<Read>>,
    /// Whether they have an element for each channel; a piece then takes those of its own channels.
    by_channel: bool,
}

impl Parameters {
    pub(super) fn read(options: &Options) -> Result<Self, Error> {
        let mut opened = Vec::new();
        let mut read = |(flag, path): (&str, Option<&TensorPath>)| {
            let Some(path) = path else { return Ok::<_, Error>(None) };
            let (tensor, read) = path.read(flag)?;
            opened.extend(read);
            Ok(Some(tensor))
        };
        let [weight, bias, mean, var] = options.paths();
        let tensors = [read(weight)?, read(bias)?, read(mean)?, read(var)?];
        Ok(Self { tensors, opened: Arc::new(opened), by_channel: options.has_channels() })
    }

    /// All files that were opened to read them.
    pub(super) fn opened(&self) -> &[Read] {
        &self.opened
    }

    /// Their bytes.
    pub(super) fn len(&self) -> usize {
        self.tensors.iter().flatten().map(|tensor| tensor.data.len()).sum()
    }

    /// The bytes of elements, of `size` each, for which a message of `limit` bytes has room if each comes with its own weight and
    /// bias.
    pub(super) fn room(&self, limit: usize, size: usize) -> usize {
        let beside = |tensor: &pb::Tensor| element::from_wire(tensor.dtype).map_or(1, |dtype| dtype.size());
        let with: usize = size + self.tensors.iter().flatten().map(beside).sum::<usize>();
        limit / with * size
    }

    pub(super) fn has_running(&self) -> bool {
        self.tensors[2].is_some()
    }

    /// Whether they fit so many channels, so that some of them can be taken.
    pub(super) fn fit(&self, channels: usize) -> bool {
        let fits = |tensor: &pb::Tensor| i64::try_from(channels).is_ok_and(|channels| tensor.shape == [channels]);
        !self.by_channel || self.tensors.iter().flatten().all(fits)
    }

    /// All of them, whole.
    pub(super) fn all(&self) -> [Option<pb::Tensor>; 4] {
        self.tensors.clone()
    }

    /// The parts of all of them that belong to these channels.
    pub(super) fn of(&self, channels: &Range<usize>) -> [Option<pb::Tensor>; 4] {
        self.tensors.clone().map(|tensor| {
            let tensor = tensor?;
            let size = element::from_wire(tensor.dtype).map_or(1, |dtype| dtype.size());
            let count = tensor.data.len() / size;
            // Tensors that do not fit are sent as they are, and the server refuses them.
            let is_part = self.by_channel && tensor.shape.len() == 1 && channels.end <= count && channels.len() < count;
            if !is_part {
                return Some(tensor);
            }
            let shape = vec![i64::try_from(channels.len()).unwrap_or(i64::MAX)];
            let data = tensor.data.slice(channels.start * size..channels.end * size);
            Some(pb::Tensor { shape, data, ..tensor })
        })
    }

    /// The parts of weight and bias that belong to these indices over the pooled axes, where a part of the tensor has pooled
    /// axes of the lengths `shape`.
    pub(super) fn of_pooled(&self, pooled: &Range<usize>, shape: &[usize]) -> [Option<pb::Tensor>; 4] {
        self.tensors.clone().map(|tensor| {
            let tensor = tensor?;
            let size = element::from_wire(tensor.dtype).map_or(1, |dtype| dtype.size());
            // Tensors that do not fit are sent as they are, and the server refuses them.
            if pooled.end * size > tensor.data.len() {
                return Some(tensor);
            }
            let shape = shape.iter().map(|&dim| i64::try_from(dim).unwrap_or(i64::MAX)).collect();
            let data = tensor.data.slice(pooled.start * size..pooled.end * size);
            Some(pb::Tensor { shape, data, ..tensor })
        })
    }
}
