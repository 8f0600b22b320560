//! Gradients that are kept until all of them have come, since each is clipped by the norm of all.

use bytes::Bytes;
use evenkeel_kernels::{Checkpoint, Clipped, Clipping, TensorMut, clip_demand, clip_gradients_in_place};

use super::{CallContext, Description, Error, Service, expect_at_most, no_tensor};
use crate::{budget::Scratch, ops::clip_work, owning::owning};

/// The bytes that a gradient takes beside its elements, its name and its shape: the rest of its description, and what the kernel
/// allocates for it.
const PER_GATHERED: usize = 512;

/// The gradients that have come.
#[derive(Default)]
pub(super) struct Gathered {
    gradients: Vec<Gradient>,
}

struct Gradient {
    tensor: Description,
    /// A buffer as long as the gradient's elements.
    buffer: Vec<u8>,
    /// The number of bytes at the beginning of the buffer that have come.
    filled: usize,
    scratch: Scratch,
}

impl Gathered {
    /// Begins the next gradient. `way` names, for the text of an error, the calls that clip gradients which do not fit in memory.
    ///
    /// # Errors
    /// Those of a reservation.
    pub(super) fn begin(
        &mut self,
        tensor: Description,
        service: &Service,
        context: &CallContext,
        way: &'static str,
    ) -> Result<(), Error> {
        let len = tensor.shape().iter().product::<usize>() * tensor.dtype().size();
        let beside = PER_GATHERED + tensor.name().len() + size_of_val(tensor.shape());
        let scratch = context.reservation.reserve_with_scratch(0, len.saturating_add(beside));
        let scratch = scratch.map_err(|error| error.in_two_passes(way))?;
        let buffer = service.executor.buffers().take(len);
        self.gradients.push(Gradient { tensor, buffer, filled: 0, scratch });
        Ok(())
    }

    /// The bytes of the last gradient that have not come.
    pub(super) fn missing(&self) -> usize {
        self.gradients.last().map_or(0, |last| last.buffer.len() - last.filled)
    }

    /// Takes the next bytes of the last gradient.
    ///
    /// # Errors
    /// [`Error::Invalid`] if no gradient has begun, or if the bytes are more than are missing.
    pub(super) fn data(&mut self, bytes: &Bytes) -> Result<(), Error> {
        let missing = self.missing();
        let Some(Gradient { buffer, filled, .. }) = self.gradients.last_mut() else { return Err(no_tensor()) };
        expect_at_most(missing, bytes)?;
        buffer[*filled..][..bytes.len()].copy_from_slice(bytes);
        *filled += bytes.len();
        Ok(())
    }

    /// Clips all gradients. The bytes that are returned own their reservations.
    ///
    /// # Errors
    /// Those of the kernel and of the executor.
    pub(super) async fn clip(
        self,
        spec: Clipping,
        service: &Service,
        context: &CallContext,
    ) -> Result<(Clipped, Vec<(Description, Bytes)>), Error> {
        let Self { mut gradients } = self;
        let units = clip_demand(&spec, gradients.len()).units;
        let sizes = gradients.iter().map(|gradient| {
            let dtype = gradient.tensor.dtype();
            (dtype, gradient.buffer.len() / dtype.size())
        });
        let estimate = clip_work(&spec).estimate_of(sizes, units);
        let buffers = service.executor.buffers().clone();
        let clip = move |checkpoint: &dyn Checkpoint| {
            let mut views: Vec<_> = gradients
                .iter_mut()
                .map(|Gradient { tensor, buffer, .. }| {
                    TensorMut::new(tensor.dtype(), tensor.shape(), buffer).expect("all of it is there")
                })
                .collect();
            let clipped = clip_gradients_in_place(&spec, &mut views, checkpoint);
            let clipped =
                clipped.map_err(|error| Error::of_gradients(error, |index| gradients[index].tensor.name()))?;
            let bytes = gradients
                .into_iter()
                .map(|Gradient { tensor, buffer, scratch, .. }| (tensor, owning(buffers.lend(buffer), scratch)));
            Ok((clipped, bytes.collect()))
        };
        context.run(&service.executor, estimate, clip).await
    }
}
