//! Segments as the body of a request or a response.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};

/// A body of segments, each of which is a frame.
#[derive(Debug)]
pub struct SegmentBody {
    segments: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
}

impl SegmentBody {
    /// The body of a request, which ends with its last segment.
    pub fn new(segments: impl Into<VecDeque<Bytes>>) -> Self {
        Self { segments: segments.into(), trailers: None }
    }

    /// The body of a response, which ends with trailers.
    pub fn with_trailers(segments: impl Into<VecDeque<Bytes>>, trailers: HeaderMap) -> Self {
        Self { segments: segments.into(), trailers: Some(trailers) }
    }
}

impl Body for SegmentBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let segment = self.segments.pop_front().map(Frame::data);
        Poll::Ready(segment.or_else(|| self.trailers.take().map(Frame::trailers)).map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.segments.is_empty() && self.trailers.is_none()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn a_body_ends_when_all_of_it_was_given() {
        let segments = || [Bytes::from_static(b"ab"), Bytes::from_static(b"c")];
        let trailers: HeaderMap = [(http::header::AGE, 7.into())].into_iter().collect();
        let mut response = SegmentBody::with_trailers(segments(), trailers.clone());
        let mut request = SegmentBody::new(segments());
        for segment in segments() {
            for body in [&mut request, &mut response] {
                assert!(!body.is_end_stream());
                assert_eq!(
                    body.frame().await.expect("it is there").expect("well").into_data().ok(),
                    Some(segment.clone())
                );
            }
        }
        assert!(request.is_end_stream() && !response.is_end_stream());
        let end = response.frame().await.expect("it is there").expect("well").into_trailers().ok();
        assert_eq!(end, Some(trailers));
        assert!(response.is_end_stream() && response.frame().await.is_none() && request.frame().await.is_none());
    }
}
