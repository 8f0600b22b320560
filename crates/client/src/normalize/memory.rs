//! An array that is too large for a message.

use std::time::Instant;

use evenkeel_proto::v1 as pb;

use super::exchange::{Outcome, exchange, in_two_passes};
use crate::{
    Element, Error, Tensor,
    codec::Elements,
    limits::Streamed,
    stream::{Nothing, Nowhere, Origin, Sink},
};

/// Normalizes the input of a request by a stream, in two passes if the server asks for them. Returns the answer and the elements of
/// its output.
pub(super) async fn normalize<A: Element>(
    streamed: Streamed,
    mut request: pb::NormalizeRequest,
) -> Result<(pb::NormalizeResponse, Option<Tensor>), Error> {
    let began = Instant::now();
    let input = request.input.get_or_insert_default();
    let data = std::mem::take(&mut input.data);
    let sent = input.clone();
    let len = data.len();
    let mut origin = Origin::<Nothing>::Bytes(data);
    let sink =
        || Sink::<Nowhere>::Memory(Elements::with_capacity(A::DTYPE, len).expect("this client encoded whole elements"));
    let outcome = match exchange(&streamed, request.clone(), (&mut origin, len as u64), sink()).await {
        Err(Error::NeedsTwoPasses { .. }) if request.statistics.is_none() => {
            in_two_passes(streamed.since(began), request, (&mut origin, len as u64), sink()).await?
        }
        outcome => outcome?,
    };
    let Outcome { answer, elements } = outcome;
    Ok((pb::NormalizeResponse { output: Some(sent), ..answer }, elements))
}
