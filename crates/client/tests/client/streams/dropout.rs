//! DropoutStream gives what Dropout and DropoutBackward give.

use evenkeel_client::{
    Client, DropoutKind, DropoutScaling, Element, TensorReader,
    half::{bf16, f16},
};
use ndarray::{Array1, ArrayView3, Dimension as _, arr0, s};

use super::{Dripping, array_of, bytes_of, cube, start_small};
use crate::{TestResult, start};

/// A mask as the wire has it.
fn packed(mask: &ndarray::ArrayD<bool>) -> Vec<u8> {
    let mask: Vec<bool> = mask.iter().copied().collect();
    mask.chunks(8).map(|bits| bits.iter().enumerate().map(|(at, &kept)| u8::from(kept) << at).sum()).collect()
}

/// Compares the streams with the unary calls, for a view and for a reader of the same elements.
async fn compare<A: Element>(unary: &Client, small: &Client, view: ArrayView3<'_, A>, kind: DropoutKind) -> TestResult {
    let dim = view.raw_dim();
    let expected = unary.dropout(view, 0.3, 42).kind(kind).offset(5).return_mask(true).send().await?;
    let (mut output, mut mask) = (Vec::new(), Vec::new());
    let stream = small.dropout_stream(view, 0.3, 42).kind(kind).offset(5).return_mask(true);
    let dropped = stream.send(&mut output).await?;
    assert_eq!(array_of::<A, _>(dim, &output), expected.output, "{kind:?}");
    assert_eq!((dropped.kept, &dropped.mask), (expected.kept, &expected.mask), "{kind:?}");

    let bytes = bytes_of(view);
    output.clear();
    let reader = TensorReader::new(A::DTYPE, dim.slice(), Dripping::new(&bytes));
    let stream = small.dropout_stream(reader, 0.3, 42).kind(kind).offset(5);
    let dropped = stream.send_with_mask(&mut output, &mut mask).await?;
    assert_eq!(array_of::<A, _>(dim, &output), expected.output, "{kind:?}");
    assert_eq!((dropped.kept, dropped.mask), (expected.kept, None));
    assert_eq!(Some(mask), expected.mask.as_ref().map(packed));

    let expected = unary.dropout_backward(view, 0.3, 42).kind(kind).offset(5).send().await?;
    output.clear();
    small.dropout_backward_stream(view, 0.3, 42).kind(kind).offset(5).send(&mut output).await?;
    assert_eq!(array_of::<A, _>(dim, &output), expected, "{kind:?}");
    Ok(())
}

#[tokio::test]
async fn streams_have_the_results_of_the_unary_calls() -> TestResult {
    let ((_server, unary), (_small_server, small)) = (start().await?, start_small().await?);
    for kind in [DropoutKind::Element, DropoutKind::Channel, DropoutKind::Alpha, DropoutKind::FeatureAlpha] {
        for shape in [(3, 41, 67), (1, 1, 1), (2, 0, 3)] {
            compare(&unary, &small, cube(shape, |x| x as f32).view(), kind).await?;
            compare(&unary, &small, cube(shape, |x| x).view(), kind).await?;
            compare(&unary, &small, cube(shape, f16::from_f64).view(), kind).await?;
            compare(&unary, &small, cube(shape, bf16::from_f64).view(), kind).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn views_of_any_layout_are_read_in_their_order() -> TestResult {
    let ((_server, unary), (_small_server, small)) = (start().await?, start_small().await?);
    let (x, half) = (cube((13, 14, 15), |x| x), cube((13, 14, 15), f16::from_f64));
    let views: [ArrayView3<'_, f64>; 4] =
        [x.t(), x.slice(s![..;-1, .., ..;-2]), x.slice(s![3.., ..;3, ..]), x.view().permuted_axes([1, 2, 0])];
    for view in views {
        compare(&unary, &small, view, DropoutKind::Element).await?;
    }
    compare(&unary, &small, half.slice(s![..;-1, ..;3, ..]), DropoutKind::Element).await
}

/// What lies behind the tensor in a file is another's.
#[tokio::test]
async fn a_reader_is_read_as_far_as_the_tensor_goes() -> TestResult {
    let (_server, client) = start_small().await?;
    let bytes = bytes_of(cube((1, 10, 101), |x| x as f32).view());
    let mut file = &bytes[..];
    let mut output = Vec::new();
    for rows in [1_usize, 4, 0, 5] {
        let rows = TensorReader::new(evenkeel_client::DType::F32, [rows, 101], &mut file);
        client.dropout_stream(rows, 0.0, 1).scaling(DropoutScaling::None).send(&mut output).await?;
    }
    assert!(file.is_empty() && output == bytes);

    // A scalar, and a call that another task makes.
    let scalar = arr0(-3.0_f32);
    let mut output = Vec::new();
    client.dropout_stream(&scalar, 0.0, 0).send(&mut output).await?;
    assert_eq!(output, (-3.0_f32).to_le_bytes());
    let task = tokio::spawn(async move {
        let x = Array1::<f32>::ones(5000);
        let mut output = Vec::new();
        client.dropout_stream(&x, 0.5, 0).send(&mut output).await.map(|dropped| (dropped.kept, output.len()))
    });
    let (kept, len) = task.await??;
    assert!(kept < 5000 && len == 20_000);
    Ok(())
}
