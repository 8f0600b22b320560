//! Normalizing a tensor while its frames arrive.
//!
//! What comes before the tensor's bytes says what is to be done with them. If that can be done part by part, each part is
//! normalized when its frames are there, and they are given up: the next ones to come find their memory warm, and the
//! answer is ready when the last part is. Everything else, and everything that is wrong, is left to the other ways.

use bytes::Bytes;
use evenkeel_proto::v1 as pb;
use tonic::{Status, Streaming, body::Body};
use tonic_prost::ProstDecoder;

use super::{
    head::Head,
    receive::{Incoming, PREFIX, Prefix},
};
use crate::service::{Arriving, Service};

/// What comes before the tensor's bytes must be in the first frames, or the message is received as a whole.
const HEAD_FRAMES: usize = 4;

/// What has become of a request.
#[expect(clippy::large_enum_variant, reason = "there is one for a call, and it is taken apart at once")]
pub(super) enum Outcome {
    /// It was read to its end and answered.
    Answered(Result<pb::NormalizeResponse, Status>),
    /// It is to be received as a whole; nothing is lost of what was read.
    Untouched(Incoming),
    /// It ended within its message: a body that ends the same way.
    Broken(Body),
}

/// Answers a request while it arrives, if it is one that can be; its first frame may have been read.
pub(super) async fn normalize(mut incoming: Incoming, service: &Service, limit: usize) -> Outcome {
    let Some((prefix, mut arriving)) = begin(&mut incoming, service, limit).await else {
        return Outcome::Untouched(incoming);
    };
    while let Some(len) = arriving.wants() {
        let Some(part) = incoming.take(len).await else {
            // That the message is not whole is all that matters of it, and a byte says so.
            return Outcome::Broken(incoming.into_body([prefix.to_bytes(), Bytes::from_static(&[0])]));
        };
        if let Err(error) = arriving.take(&part).await {
            return Outcome::Answered(arriving.finish(Err(error)).await);
        }
    }
    if !incoming.is_at_end() {
        // More data, or trailers: what tonic would make of them after a message.
        let rest = incoming.into_body([]);
        let decoder = ProstDecoder::<pb::NormalizeRequest>::default();
        if let Err(status) = Streaming::new_request(decoder, rest, None, Some(limit)).trailers().await {
            return Outcome::Answered(Err(status));
        }
    }
    Outcome::Answered(arriving.finish(Ok(())).await)
}

/// Reads what comes before the tensor's bytes.
async fn begin<'a>(incoming: &mut Incoming, service: &'a Service, limit: usize) -> Option<(Prefix, Arriving<'a>)> {
    for _ in 0..HEAD_FRAMES {
        if let Some((prefix, message)) = incoming.message_so_far() {
            let len = prefix.len();
            if prefix.is_compressed() || len > limit || message.len() >= len {
                return None;
            }
            if let Some(head) = Head::parse(&message, len) {
                let arriving = service.normalize_arriving(head.request, head.data_len)?;
                incoming.skip(PREFIX + head.len);
                return Some((prefix, arriving));
            }
        }
        if !incoming.next().await {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http_body::Frame;
    use http_body_util::{BodyExt as _, StreamBody};
    use prost::Message as _;

    use super::*;
    use crate::{buffers::Buffers, executor::Executor};

    const LIMIT: usize = 1 << 22;

    fn service() -> Service {
        Service::new(Arc::new(Executor::new(1, Buffers::new(0), None).expect("one thread can be started")), LIMIT)
    }

    fn request(rows: usize) -> pb::NormalizeRequest {
        let data: Vec<u8> = (0..rows * 1000).flat_map(|i| ((i * i % 1013) as f32).to_le_bytes()).collect();
        pb::NormalizeRequest {
            kind: pb::NormKind::Layer.into(),
            return_statistics: true,
            input: Some(pb::Tensor {
                dtype: pb::DataType::Float32.into(),
                shape: vec![rows as i64, 1000],
                data: data.into(),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn framed(request: &pb::NormalizeRequest) -> Vec<u8> {
        let message = request.encode_to_vec();
        [&[0][..], &(message.len() as u32).to_be_bytes(), &message].concat()
    }

    fn incoming(frames: impl IntoIterator<Item = Result<Frame<Bytes>, Status>>) -> Incoming {
        let frames: Vec<_> = frames.into_iter().collect();
        Incoming::new(Body::new(StreamBody::new(tokio_stream::iter(frames))))
    }

    fn data(bytes: &[u8]) -> Result<Frame<Bytes>, Status> {
        Ok(Frame::data(Bytes::copy_from_slice(bytes)))
    }

    #[tokio::test]
    async fn a_tensor_of_several_parts_is_answered_as_it_arrives() {
        let service = service();
        let request = request(100);
        for frame in [1 << 12, 40_000, 131_072, 399_990] {
            let frames = incoming(framed(&request).chunks(frame).map(data));
            let Outcome::Answered(Ok(answer)) = normalize(frames, &service, LIMIT).await else {
                panic!("not answered with frames of {frame} bytes");
            };
            assert_eq!(answer, service.normalize(request.clone()).await.expect("it is right"));
        }
    }

    #[tokio::test]
    async fn what_is_whole_small_or_wrong_stays_as_it_came() {
        let service = service();
        let wrong = pb::NormalizeRequest { eps: Some(-1.0), ..request(100) };
        for (bytes, frame) in [(framed(&request(100)), usize::MAX), (framed(&request(3)), 999), (framed(&wrong), 9999)]
        {
            let frames = incoming(bytes.chunks(frame.min(bytes.len())).map(data));
            let Outcome::Untouched(rest) = normalize(frames, &service, LIMIT).await else {
                panic!("{} bytes in frames of {frame} were touched", bytes.len());
            };
            let read = rest.into_body([]).collect().await.expect("all of it").to_bytes();
            assert!(read == bytes, "{} bytes in frames of {frame} changed", bytes.len());
        }
    }

    #[tokio::test]
    async fn an_error_of_the_body_is_kept() {
        let service = service();
        let bytes = framed(&request(100));
        let lost = || Err(Status::data_loss("on purpose"));
        let frames = incoming(bytes[..300_000].chunks(100_000).map(data).chain([lost()]));
        let Outcome::Broken(body) = normalize(frames, &service, LIMIT).await else { panic!("it is not whole") };
        let status = body.collect().await.expect_err("the same error");
        assert_eq!(status.code(), tonic::Code::DataLoss);
        // After the message, the error is the answer, as it is tonic's.
        let frames = incoming(bytes.chunks(100_000).map(data).chain([lost()]));
        let Outcome::Answered(Err(status)) = normalize(frames, &service, LIMIT).await else { panic!("it is whole") };
        assert_eq!(status.code(), tonic::Code::DataLoss);
    }
}
