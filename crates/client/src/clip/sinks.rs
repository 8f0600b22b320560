//! Where clipped gradients go.

use std::io;

use evenkeel_proto::v1 as pb;

use crate::{DType, Tensor, codec::Elements, fault::Fault, stream::Sink};

pub(super) enum Sinks<W, F> {
    /// All to one writer, one after the other. `None`: it is in use.
    Together(Option<W>),
    /// Each to a writer of its own, which is made from its index.
    Each(F),
    /// To arrays of one dimension, which are kept here.
    Arrays(Vec<Tensor>),
}

impl<W, F> Sinks<W, F> {
    /// Where the gradient at this index goes.
    ///
    /// # Errors
    /// Its writer cannot be made.
    pub(super) async fn open<N>(&mut self, index: usize, tensor: &pb::Tensor, len: u64) -> Result<Sink<W>, Fault>
    where
        F: FnMut(usize) -> N,
        N: Future<Output = io::Result<W>>,
    {
        Ok(match self {
            Self::Together(writer) => Sink::Writer(writer.take().expect("the gradient before has given it back")),
            Self::Each(open) => Sink::Writer(open(index).await.map_err(Fault::write)?),
            Self::Arrays(_) => {
                let dtype = DType::from_wire(tensor.dtype).expect("this client encoded it");
                let len = usize::try_from(len).expect("the elements are in memory");
                Sink::Memory(Elements::with_capacity(dtype, len).expect("they are whole"))
            }
        })
    }

    /// Takes back what was opened, once the gradient is complete.
    pub(super) fn close(&mut self, sink: Sink<W>) {
        match (self, sink) {
            (Self::Together(place), Sink::Writer(writer)) => *place = Some(writer),
            (Self::Arrays(tensors), sink) => tensors.extend(sink.into_tensor()),
            (Self::Together(_) | Self::Each(_), _) => {}
        }
    }
}
