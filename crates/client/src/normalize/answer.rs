//! What a response has beside the normalized elements.

use evenkeel_proto::v1 as pb;
use ndarray::{ArrayD, IxDyn};

use crate::{
    Element, Error, Tensor, codec,
    codec::Form,
    sets::{self, Sets},
};

/// What a response must have beside the output and the running statistics.
pub(super) struct Due {
    sets: Sets,
    mean: bool,
    rstd: bool,
}

impl Due {
    /// That of a request with an input of this shape.
    pub(super) fn of(request: &pb::NormalizeRequest, shape: &[usize]) -> Self {
        let rstd = request.return_statistics;
        Self { sets: Sets::of(request, shape), mean: rstd && sets::has_mean(request), rstd }
    }

    /// The axes that were pooled.
    pub(super) fn axes(&self, given: &[i32]) -> Result<Vec<usize>, Error> {
        if !given.iter().map(|&axis| usize::try_from(axis).ok()).eq(self.sets.axes.iter().map(|&axis| Some(axis))) {
            return Err(Error::protocol("axes", format!("are {given:?} where {:?} are pooled", self.sets.axes)));
        }
        Ok(self.sets.axes.clone())
    }

    pub(super) fn mean<A: Element>(&self, tensor: Option<pb::Tensor>) -> Result<Option<ArrayD<A>>, Error> {
        self.statistic("mean", self.mean, tensor)
    }

    pub(super) fn rstd<A: Element>(&self, tensor: Option<pb::Tensor>) -> Result<Option<ArrayD<A>>, Error> {
        self.statistic("rstd", self.rstd, tensor)
    }

    fn statistic<A: Element>(
        &self,
        field: &str,
        is_due: bool,
        tensor: Option<pb::Tensor>,
    ) -> Result<Option<ArrayD<A>>, Error> {
        if is_due {
            return codec::decode(field, tensor, &IxDyn(&self.sets.shape)).map(Some);
        }
        tensor.map_or(Ok(None), |_| Err(Error::protocol(field, "was not asked for")))
    }
}

/// A running statistic of the response, which may be there only if one was sent.
pub(super) fn running(field: &str, sent: Option<Form>, tensor: Option<pb::Tensor>) -> Result<Option<Tensor>, Error> {
    match (sent, tensor) {
        (_, None) => Ok(None),
        (Some(form), tensor @ Some(_)) => form.decode(field, tensor).map(Some),
        (None, Some(_)) => Err(Error::protocol(field, "answers nothing that was sent")),
    }
}
