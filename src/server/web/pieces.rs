//! Bodies that tonic-web translates from or to base64, piece by piece: a whole tensor at once would hold the thread, and take
//! memory that is not reserved.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};

/// The most bytes of a piece: a multiple of three, so that only the last piece ends in padding.
pub(super) const PIECE: usize = 48 << 10;

/// The length of the frame of which the last piece was not taken, in bytes; 0 if there is none.
#[derive(Clone, Debug, Default)]
pub(in crate::server) struct KeptFrame(Arc<AtomicUsize>);

/// A body whose frames are short.
#[derive(Debug)]
pub(super) struct Pieces<B> {
    body: B,
    rest: Bytes,
    kept: KeptFrame,
}

impl<B> Pieces<B> {
    pub(super) fn new(body: B) -> Self {
        Self { body, rest: Bytes::new(), kept: KeptFrame::default() }
    }

    /// The frame that this body keeps, at any time.
    pub(super) fn kept(&self) -> KeptFrame {
        self.kept.clone()
    }
}

impl KeptFrame {
    /// The bytes of the frame.
    pub(in crate::server) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Pieces<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        self.kept.0.store(data.len(), Ordering::Relaxed);
                        self.rest = data;
                    }
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => return Poll::Ready(end),
            }
        }
        let len = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(len);
        if self.rest.is_empty() {
            self.kept.0.store(0, Ordering::Relaxed);
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use tonic::codegen::http::HeaderMap;

    use super::*;

    #[tokio::test]
    async fn frames_are_cut_and_nothing_is_lost() {
        let bytes: Bytes = (0..3 * PIECE + 7).map(|i| (i % 251) as u8).collect();
        let frames =
            [Frame::data(bytes.clone()), Frame::data(Bytes::from_static(b"end")), Frame::trailers(HeaderMap::new())];
        let frames = tokio_stream::iter(frames.map(Ok::<_, std::convert::Infallible>));
        let mut body = Pieces::new(http_body_util::StreamBody::new(frames));
        let kept = body.kept();
        let mut all = Vec::new();
        let mut trailers = 0;
        while let Some(Ok(frame)) = body.frame().await {
            match frame.into_data() {
                Ok(data) => {
                    assert!(data.len() <= PIECE);
                    all.extend_from_slice(&data);
                    assert_eq!(kept.bytes(), if all.len() < bytes.len() { bytes.len() } else { 0 });
                }
                Err(_) => trailers += 1,
            }
        }
        assert!(all == [&bytes[..], b"end"].concat() && trailers == 1);
    }
}
