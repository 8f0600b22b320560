//! Invalid parts and invalid statistics: each error names its field.

use evenkeel_proto::v1 as pb;
use pb::{DataType, NormKind, measure_statistics_request::Part};

use super::{backward_header, bytes_of, data, header, measure, partials, values};
use crate::harness::{f32s, normalize, refused_fields, start, tensor, violation, violations};

/// Makes statistics invalid.
type Change = fn(&mut pb::StatisticsPartial);

#[tokio::test]
async fn what_does_not_fit_is_named() {
    let (_server, mut client) = start().await;
    let batch = || header(NormKind::Batch, DataType::Float32, &[2, 3]);
    let backward = || backward_header(NormKind::Batch, DataType::Float32, &[2, 3]);
    let changed = |mut message: pb::MeasureStatisticsRequest, change: fn(&mut pb::NormalizeRequest)| {
        if let Some(Part::Header(header)) = &mut message.part {
            change(header);
        }
        message
    };
    let mut field = async |messages: Vec<_>| violation(measure(&mut client, messages).await).0;
    assert_eq!(field(vec![]).await, "header");
    assert_eq!(field(vec![pb::MeasureStatisticsRequest::default()]).await, "header");
    assert_eq!(field(vec![data(&[0; 4], &[])]).await, "data");
    assert_eq!(field(vec![data(&[], &[0; 4])]).await, "grad_data");
    assert_eq!(field(vec![batch()]).await, "data");
    assert_eq!(field(vec![batch(), data(&[0; 23], &[])]).await, "data");
    assert_eq!(field(vec![batch(), data(&[0; 25], &[])]).await, "data");
    assert_eq!(field(vec![batch(), data(&[0; 24], &[]), data(&[0; 1], &[])]).await, "data");
    assert_eq!(field(vec![batch(), data(&[0; 24], &[0; 24])]).await, "grad_data");
    assert_eq!(field(vec![backward(), data(&[0; 24], &[])]).await, "grad_data");
    assert_eq!(field(vec![backward(), data(&[0; 8], &[0; 7])]).await, "grad_data");
    assert_eq!(field(vec![batch(), data(&[0; 20], &[]), batch()]).await, "header");
    assert_eq!(field(vec![changed(batch(), |header| header.kind = 0)]).await, "header.kind");
    assert_eq!(field(vec![changed(batch(), |header| header.kind = 77)]).await, "header.kind");
    assert_eq!(field(vec![changed(batch(), |header| header.axes = vec![5])]).await, "header.axes[0]");
    assert_eq!(field(vec![changed(batch(), |header| header.groups = 3)]).await, "header.groups");
    assert_eq!(field(vec![changed(batch(), |header| header.channel_axis = Some(2))]).await, "header.channel_axis");
    assert_eq!(field(vec![changed(batch(), |header| header.input = None)]).await, "header.input");
    let input = |change: fn(&mut pb::Tensor)| {
        let mut message = batch();
        if let Some(Part::Header(header)) = &mut message.part {
            header.input.iter_mut().for_each(change);
        }
        vec![message]
    };
    assert_eq!(field(input(|input| input.dtype = 0)).await, "header.input.dtype");
    assert_eq!(field(input(|input| input.shape[1] = -1)).await, "header.input.shape[1]");
    assert_eq!(field(input(|input| input.shape = vec![i64::MAX, i64::MAX])).await, "header.input.shape");
    assert_eq!(field(input(|input| input.shape = vec![0, i64::MAX])).await, "header.input.shape");
    assert_eq!(field(input(|input| input.data = vec![0; 23].into())).await, "header.input.data");
    let layer = backward_header(NormKind::Layer, DataType::Float32, &[2, 3]);
    assert_eq!(field(vec![layer]).await, "backward_header.grad_output");
    let two = |second| vec![batch(), data(&[0; 24], &[]), second];
    assert_eq!(field(two(header(NormKind::Layer, DataType::Float32, &[2, 3]))).await, "header.kind");
    assert_eq!(field(two(header(NormKind::Batch, DataType::Float32, &[2, 4]))).await, "header.input.shape");
    assert_eq!(field(two(backward())).await, "backward_header");
    let gradient = |grad_output: pb::Tensor| {
        let mut message = backward();
        if let Some(Part::BackwardHeader(header)) = &mut message.part {
            header.grad_output = Some(grad_output);
        }
        vec![message, data(&[0; 24], &[0; 24])]
    };
    let described = |dtype: DataType, shape: &[i64]| gradient(tensor(dtype, shape, vec![]));
    assert_eq!(field(described(DataType::Float32, &[3, 2])).await, "backward_header.grad_output.shape");
    assert_eq!(field(described(DataType::Float64, &[2, 3])).await, "backward_header.grad_output.dtype");
    assert_eq!(field(gradient(f32s(&[2, 3], &[1.0; 6]))).await, "backward_header.grad_output.data");
    assert!(measure(&mut client, described(DataType::Float32, &[2, 3])).await.is_ok());
}

#[tokio::test]
async fn statistics_that_no_elements_have_are_refused_by_name() {
    let (_server, mut client) = start().await;
    let messages = vec![
        backward_header(NormKind::Batch, DataType::Float32, &[2, 3]),
        data(&bytes_of(&values(6, 1)), &bytes_of(&values(6, 2))),
    ];
    let right = measure(&mut client, messages).await.expect("valid");
    let changes: [(&str, Change); 9] = [
        ("kind", |partial| partial.kind = 0),
        ("shape[0]", |partial| partial.shape[0] = -3),
        ("sets", |partial| partial.shape[0] = 2),
        ("sets[1].elements", |partial| partial.sets[1].nan_elements = u64::MAX),
        ("sets[2].elements", |partial| partial.sets[2].elements = 1),
        ("sets[1].sum", |partial| {
            partial.sets[1].sum = Some(pb::ExactSum { magnitude: vec![1].into(), ..Default::default() })
        }),
        ("sets[0].sum.magnitude", |partial| {
            partial.sets[0].sum = Some(pb::ExactSum { magnitude: vec![1; 533].into(), ..Default::default() });
        }),
        ("sets[0].sum_of_squares", |partial| partial.sets[0].sum_of_squares = None),
        ("sets[2].sum_of_gradients", |partial| {
            let set = &mut partial.sets[2];
            (set.sum_of_gradients, set.sum_of_products, set.nonfinite_gradients) = (None, None, 0);
        }),
    ];
    for (field, change) in changes {
        let mut wrong = right.clone();
        change(&mut wrong);
        let refused = refused_fields(measure(&mut client, vec![partials(vec![right.clone(), wrong.clone()])]).await);
        assert!(refused.contains(&format!("partials[1].{field}")), "{field}: {refused:?}");
        let request = |statistics: &pb::StatisticsPartial| pb::NormalizeRequest {
            statistics: Some(statistics.clone()),
            ..normalize(NormKind::Batch, f32s(&[2, 3], &values(6, 1)))
        };
        let refused = refused_fields(client.normalize(request(&wrong)).await);
        assert!(refused.contains(&format!("statistics.{field}")), "{field}: {refused:?}");
        // Beside another fault.
        let both = pb::NormalizeRequest { eps: Some(-1.0), ..request(&wrong) };
        let refused = refused_fields(client.normalize(both).await);
        assert!(refused.contains(&"eps".to_owned()), "{field}: {refused:?}");
        assert!(refused.contains(&format!("statistics.{field}")), "{field}: {refused:?}");
        let backward = pb::NormalizeBackwardRequest {
            kind: NormKind::Batch.into(),
            statistics: Some(wrong),
            input: Some(f32s(&[2, 3], &values(6, 1))),
            grad_output: Some(f32s(&[2, 3], &values(6, 2))),
            ..Default::default()
        };
        let refused = refused_fields(client.normalize_backward(backward).await);
        assert!(refused.contains(&format!("statistics.{field}")), "{field}: {refused:?}");
    }
    // Sums that are not measured for a kind.
    let of_kind = |kind: NormKind| pb::StatisticsPartial { kind: kind.into(), ..right.clone() };
    for (kind, fields) in [
        (NormKind::Rms, vec!["partials[0].sets[0].sum", "partials[0].sets[0].sum_of_gradients"]),
        (NormKind::L2, vec!["partials[0].sets[0].sum", "partials[0].sets[0].sum_of_gradients"]),
        (NormKind::Layer, vec!["partials[0].sets[0].sum_of_gradients"]),
        (NormKind::Group, vec!["partials[0].sets[0].sum_of_gradients"]),
    ] {
        let refused = refused_fields(measure(&mut client, vec![partials(vec![of_kind(kind)])]).await);
        assert_eq!(refused[..fields.len()], fields, "{kind:?}");
    }
    // Valid statistics, of another tensor.
    let of = |change: fn(&mut pb::NormalizeRequest)| {
        let mut request = normalize(NormKind::Batch, f32s(&[2, 3], &values(6, 1)));
        request.statistics = Some(right.clone());
        change(&mut request);
        request
    };
    for (field, request) in [
        ("statistics.kind", of(|request| request.kind = NormKind::Layer.into())),
        ("statistics.shape", of(|request| request.input = Some(f32s(&[3, 2], &values(6, 1))))),
        ("statistics.sets[0].elements", of(|request| request.input = Some(f32s(&[3, 3], &values(9, 1))))),
        (
            "statistics",
            of(|request| {
                (request.running_mean, request.running_var) =
                    (Some(f32s(&[3], &[0.0; 3])), Some(f32s(&[3], &[1.0; 3])));
            }),
        ),
    ] {
        let refused = violations(client.normalize(request).await);
        assert!(refused.iter().any(|violation| violation.starts_with(&format!("{field}: "))), "{field}: {refused:?}");
    }
    let mixed =
        vec![partials(vec![right.clone(), pb::StatisticsPartial { kind: NormKind::Instance.into(), ..right.clone() }])];
    assert_eq!(violation(measure(&mut client, mixed).await).0, "partials[1].kind");
    let mut many = right.clone();
    many.sets.iter_mut().for_each(|set| set.elements = 1 << 59);
    assert_eq!(
        violation(measure(&mut client, vec![partials(vec![right, many])]).await).0,
        "partials[1].sets[0].elements"
    );
}
