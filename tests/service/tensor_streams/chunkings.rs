//! A stream has the bytes of the unary call, whatever the lengths of its messages and wherever its frames are cut.

use std::sync::OnceLock;

use evenkeel::{
    config::{MIN_MAX_STREAM_CHUNK_BYTES, ServerConfig},
    server::Running,
};
use evenkeel_proto::v1 as pb;
use evenkeel_testing::{
    answer::send,
    frames::{cut, framed},
    streamed::Call,
};
use pb::{ClipMode, DropoutKind, NormKind};
use proptest::prelude::*;
use tokio::runtime::Runtime;

use super::{DTYPES, whole};
use crate::harness::{f32s, norm_kinds};

struct Servers {
    runtime: Runtime,
    /// One with the shortest chunks of answers that are allowed, and one with the defaults.
    servers: [Running; 2],
}

fn servers() -> &'static Servers {
    static SERVERS: OnceLock<Servers> = OnceLock::new();
    SERVERS.get_or_init(|| {
        let runtime = Runtime::new().expect("a runtime");
        let default = ServerConfig::on_free_port();
        let short = ServerConfig { max_stream_chunk_bytes: MIN_MAX_STREAM_CHUNK_BYTES, ..default.clone() };
        let servers =
            [short, default].map(|config| runtime.block_on(Running::start(config)).expect("the server starts"));
        Servers { runtime, servers }
    })
}

fn tensors() -> impl Strategy<Value = pb::Tensor> {
    let n = prop_oneof![1 => Just(0), 8 => 1i64..6];
    let c = prop::sample::select(vec![2i64, 6]);
    // Some kinds refuse sets of one element.
    let l = prop_oneof![2i64..100, 100i64..3000];
    (prop::sample::select(DTYPES.to_vec()), n, c, l).prop_map(|((dtype, _), n, c, l)| whole(dtype, &[n, c, l]))
}

fn calls() -> impl Strategy<Value = Call> {
    let kinds = vec![DropoutKind::Element, DropoutKind::Channel, DropoutKind::Alpha, DropoutKind::FeatureAlpha];
    let dropout = (tensors(), prop::sample::select(kinds), any::<[bool; 2]>()).prop_map(
        |(input, kind, [return_mask, backward])| {
            let (p, kind, channel) =
                (Some(0.3), kind as i32, matches!(kind, DropoutKind::Channel | DropoutKind::FeatureAlpha));
            let channel_axis = channel.then_some(1);
            if backward {
                let grad_output = Some(input);
                let request =
                    pb::DropoutBackwardRequest { p, seed: 7, kind, channel_axis, grad_output, ..Default::default() };
                return Call::DropoutBackward(request);
            }
            let input = Some(input);
            Call::Dropout(pb::DropoutRequest {
                p,
                seed: 7,
                offset: 3,
                kind,
                return_mask,
                channel_axis,
                input,
                ..Default::default()
            })
        },
    );
    let kinds = prop::sample::select(norm_kinds().collect::<Vec<_>>());
    let normalize = (tensors(), kinds, any::<[bool; 2]>()).prop_map(|(input, kind, [return_statistics, running])| {
        // Running statistics, in evaluation, let the answer begin before a set is complete.
        let running = running && matches!(kind, NormKind::Batch | NormKind::Instance);
        let channels = |value: f32| running.then(|| f32s(&[input.shape[1]], &vec![value; input.shape[1] as usize]));
        Call::Normalize(Box::new(pb::NormalizeRequest {
            groups: if kind == NormKind::Group { 2 } else { 0 },
            running_mean: channels(0.25),
            running_var: channels(2.0),
            training: running.then_some(false),
            return_statistics: return_statistics && !running,
            ..crate::harness::normalize(kind, input.clone())
        }))
    });
    let modes = prop::sample::select(vec![ClipMode::Norm, ClipMode::NormPerTensor, ClipMode::Value]);
    let total = prop::option::of(Just(123.0));
    let clip = (prop::collection::vec(tensors(), 0..4), modes, total).prop_map(|(gradients, mode, total_norm)| {
        let total_norm = total_norm.filter(|_| mode == ClipMode::Norm);
        Call::Clip(pb::ClipGradientsRequest { total_norm, ..crate::harness::clip(mode, 1.5, gradients) })
    });
    prop_oneof![2 => dropout, 2 => normalize, 1 => clip]
}

/// The lengths of a tensor's first messages; the last one has the rest.
fn lengths() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![1 => Just(0), 3 => 1usize..9, 3 => 1usize..3000, 2 => 1usize..70_000], 0..30)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn streams_have_the_bytes_of_the_unary_calls_however_they_are_cut(
        call in calls(), lengths in lengths(), server in 0usize..2,
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let Servers { runtime, servers } = servers();
        let server = &servers[server];
        let (method, message) = call.unary();
        let unary = call.outcome(&runtime.block_on(send(server, method, &[], vec![framed(&message)])));
        let (method, messages) = call.streamed(&lengths);
        let bytes: Vec<u8> = messages.iter().flat_map(|message| framed(message)).collect();
        let frames = cut(&bytes, cuts.iter().map(|cut| cut.index(bytes.len())));
        let streamed = call.stream_outcome(&runtime.block_on(send(server, method, &[], frames)));
        prop_assert!(unary == streamed, "{method} {lengths:?}: {} and {}", unary.status, streamed.status);
        prop_assert!(unary.status == "0" || call.has_nothing(), "{method}: {}", unary.status);
    }
}
