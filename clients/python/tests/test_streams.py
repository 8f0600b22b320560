"""Answers that break the contract."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from evenkeel_client import InvalidArgument, ProtocolError
from evenkeel_client._clipping import NORM, ClipCall, ClipReceiver
from evenkeel_client._dropping import DropoutCall, DropoutReceiver
from evenkeel_client._limits import UNKNOWN, Limits, version_warning
from evenkeel_client._measuring import gradient_frames, norm_partial, statistics_partial
from evenkeel_client._normalization import NormalizeCall, NormalizeReceiver, Pooling
from evenkeel_client._proto import tensor_ops_pb2 as pb
from evenkeel_client._tensors import Tensor

X = np.arange(6, dtype=np.float32).reshape(2, 3)
DATA = X.tobytes()
TENSOR = pb.Tensor(dtype=pb.DataType.ValueType(1), shape=[2, 3])


def normalize_call(**options: Any) -> NormalizeCall:
    optional = {"weight": None, "bias": None, "running_mean": None, "running_var": None}
    settings = {"eps": None, "training": None, "statistics": None}
    return NormalizeCall.of(X, Pooling.of("layer", None, None, None), **{**settings, **optional, **options})


def dropout_call(*, is_backward: bool = False, return_mask: bool = True) -> DropoutCall:
    options = {"p": 0.5, "seed": 1, "offset": 0, "kind": "element", "scaling": "none", "channel_axis": None}
    return DropoutCall.of(Tensor.of("input", X), is_backward=is_backward, return_mask=return_mask, **options)


def clip_call() -> ClipCall:
    return ClipCall.of({"w": X}, NORM, 1.0, norm_type=2.0, error_if_nonfinite=False)


def norm(**part: Any) -> bytes:
    return pb.NormalizeStreamResponse(**part).SerializeToString()


def drop(**part: Any) -> bytes:
    return pb.DropoutStreamResponse(**part).SerializeToString()


def clip(**part: Any) -> bytes:
    return pb.ClipGradientsStreamResponse(**part).SerializeToString()


NORM_HEADER = norm(header=pb.NormalizeResponse(axes=[1], output=TENSOR))
NORM_SUMMARY = norm(summary=pb.NormalizeResponse())
DROP_HEADER = drop(header=pb.DropoutResponse(output=TENSOR))
DROP_SUMMARY = drop(summary=pb.DropoutResponse(kept=4))
CLIP_HEADER = clip(header=pb.ClipGradientsResponse())
CLIP_TENSOR = clip(tensor=pb.Tensor(name="w", dtype=pb.DataType.ValueType(1), shape=[2, 3]))
CLIP_SUMMARY = clip(summary=pb.ClipGradientsResponse(total_norm=2, scale=0.5))

RECEIVERS: dict[str, Callable[[], Any]] = {
    "normalize": lambda: NormalizeReceiver(normalize_call()),
    "dropout": lambda: DropoutReceiver(dropout_call()),
    "clip": lambda: ClipReceiver(clip_call()),
}


def received(name: str, *messages: bytes) -> Any:
    receiver = RECEIVERS[name]()
    for message in messages:
        receiver.take(message)
    return receiver.finish()


def test_whole_answers_are_results() -> None:
    y = received("normalize", NORM_HEADER, norm(data=DATA[:5]), norm(data=b""), norm(data=DATA[5:]), NORM_SUMMARY)
    assert np.array_equal(y.output, X)
    dropped = received("dropout", DROP_HEADER, drop(mask=b"\x2a"), drop(data=DATA), DROP_SUMMARY)
    assert np.array_equal(dropped.output, X)
    assert dropped.mask.tolist() == [[False, True, False], [True, False, True]]
    clipped = received("clip", CLIP_HEADER, CLIP_TENSOR, clip(data=DATA), CLIP_SUMMARY)
    assert np.array_equal(clipped.gradients["w"], X)


@pytest.mark.parametrize(
    ("name", "messages"),
    [
        ("normalize", [NORM_HEADER, norm(data=DATA)]),
        ("normalize", [NORM_HEADER, norm(data=DATA[1:]), NORM_SUMMARY]),
        ("normalize", [NORM_HEADER, norm(data=DATA + b"x"), NORM_SUMMARY]),
        ("normalize", [norm(data=DATA), NORM_SUMMARY]),
        ("normalize", [NORM_HEADER, NORM_HEADER]),
        ("normalize", [NORM_HEADER, norm(data=DATA), NORM_SUMMARY, NORM_SUMMARY]),
        ("normalize", [NORM_HEADER, norm(data=DATA), NORM_SUMMARY, norm(data=b"")]),
        ("normalize", [norm(header=pb.NormalizeResponse(axes=[1]))]),
        (
            "normalize",
            [
                norm(
                    header=pb.NormalizeResponse(
                        axes=[1], output=pb.Tensor(dtype=pb.DataType.ValueType(2), shape=[2, 3])
                    )
                )
            ],
        ),
        (
            "normalize",
            [
                norm(
                    header=pb.NormalizeResponse(
                        axes=[1], output=pb.Tensor(dtype=pb.DataType.ValueType(1), shape=[3, 2])
                    )
                )
            ],
        ),
        ("normalize", [b""]),
        ("normalize", [b"\x08\x01"]),
        ("dropout", [DROP_HEADER, drop(data=DATA), DROP_SUMMARY]),
        ("dropout", [DROP_HEADER, drop(mask=b"\x2a\0"), drop(data=DATA), DROP_SUMMARY]),
        ("dropout", [drop(backward_header=pb.DropoutBackwardResponse(grad_input=TENSOR))]),
        ("dropout", [DROP_HEADER, DROP_HEADER]),
        ("dropout", [drop(header=pb.DropoutResponse())]),
        ("clip", [CLIP_HEADER, clip(data=DATA), CLIP_SUMMARY]),
        ("clip", [CLIP_TENSOR]),
        ("clip", [CLIP_HEADER, CLIP_TENSOR, clip(data=DATA[4:]), CLIP_SUMMARY]),
        ("clip", [CLIP_HEADER, CLIP_TENSOR, clip(data=DATA), CLIP_TENSOR]),
        ("clip", [CLIP_HEADER, clip(tensor=TENSOR)]),
        ("clip", [CLIP_HEADER, CLIP_SUMMARY]),
        ("clip", [CLIP_HEADER, CLIP_TENSOR, clip(data=DATA)]),
        ("clip", [CLIP_HEADER, CLIP_HEADER]),
    ],
)
def test_broken_answers_are_errors(name: str, messages: list[bytes]) -> None:
    with pytest.raises(ProtocolError):
        received(name, *messages)


@pytest.mark.parametrize(
    "answer",
    [
        pb.NormalizeResponse(),
        pb.NormalizeResponse(output=pb.Tensor(dtype=pb.DataType.ValueType(1), shape=[2, 3], data=DATA[1:])),
        pb.NormalizeResponse(output=pb.Tensor(dtype=pb.DataType.ValueType(9), shape=[2, 3], data=DATA)),
        pb.NormalizeResponse(output=pb.Tensor(name="x", dtype=pb.DataType.ValueType(1), shape=[2, 3], data=DATA)),
        pb.NormalizeResponse(output=pb.Tensor(dtype=pb.DataType.ValueType(1), shape=[2, 3], float_data=range(6))),
        pb.NormalizeResponse(output=TENSOR, running_mean=TENSOR),
        pb.NormalizeResponse(
            output=pb.Tensor(dtype=pb.DataType.ValueType(1), shape=[2, 3], data=DATA), running_var=TENSOR
        ),
        pb.NormalizeResponse(
            output=pb.Tensor(dtype=pb.DataType.ValueType(1), shape=[2, 3], data=DATA),
            mean=pb.Tensor(dtype=pb.DataType.ValueType(1), shape=[-1]),
        ),
        pb.NormalizeResponse(
            output=pb.Tensor(dtype=pb.DataType.ValueType(1), shape=[2, 3], data=DATA),
            rstd=pb.Tensor(dtype=pb.DataType.ValueType(2), shape=[1], data=bytes(8)),
        ),
    ],
)
def test_broken_unary_answers_are_errors(answer: pb.NormalizeResponse) -> None:
    answer.axes[:] = [1]
    with pytest.raises(ProtocolError):
        normalize_call().decode(answer.SerializeToString())


def test_broken_answers_of_the_other_calls_are_errors() -> None:
    with pytest.raises(ProtocolError):
        dropout_call().decode(b"")
    with pytest.raises(ProtocolError):
        dropout_call().decode(
            pb.DropoutResponse(output=pb.Tensor(dtype=TENSOR.dtype, shape=[2, 3], data=DATA)).SerializeToString()
        )
    with pytest.raises(ProtocolError):
        clip_call().decode(b"")
    with pytest.raises(ProtocolError):
        normalize_call(grad_output=X).decode_gradients(b"")
    with pytest.raises(ProtocolError):
        norm_partial(b"", [], 2.0)
    with pytest.raises(ProtocolError):
        norm_partial(pb.MeasureGradientsResponse(partial=pb.NormPartial(norm_type=3)).SerializeToString(), [], 3.0)
    with pytest.raises(ProtocolError):
        statistics_partial(b"", Pooling.of("layer", None, None, None), (2, 3), has_gradients=False)


@pytest.mark.parametrize("most", [80, 200, 1000, 100_000])
def test_pieces_of_gradients_fit_and_carry_everything(most: int) -> None:
    gradients: list[Any] = [
        np.arange(500, dtype=np.float32),
        np.empty((0, 7)),
        np.arange(999.0),
        np.array(3.5, np.float32),
    ]
    tensors = [Tensor.of("gradients", gradient) for gradient in gradients]
    carried, messages = b"", 0
    for index, frame in enumerate(gradient_frames(tensors, 1.0, most)):
        message = pb.MeasureGradientsRequest.FromString(frame)
        assert len(frame) <= most + 16
        assert message.HasField("norm_type") == (index == 0)
        for piece in message.gradients:
            assert len(piece.data) == piece.shape[0] * (8 if piece.dtype == 2 else 4)
            carried += piece.data
        messages += 1
    assert carried == b"".join(gradient.tobytes() for gradient in gradients)
    assert (messages == 1) == (most == 100_000)


def test_of_no_gradients_the_order_is_sent() -> None:
    (frame,) = gradient_frames([], 1.0, 1000)
    assert pb.MeasureGradientsRequest.FromString(frame).norm_type == 1.0


@pytest.mark.parametrize(
    ("kind", "shape", "axes", "groups", "sets"),
    [
        ("layer", (4, 5), None, None, 4),
        ("layer", (2, 3, 4, 5), None, None, 2),
        ("layer", (2, 3, 4), [0, -1], None, 3),
        ("rms", (7,), None, None, 1),
        ("batch", (2, 3, 4), None, None, 3),
        ("instance", (2, 3, 4), None, None, 6),
        ("group", (2, 6, 4), None, 3, 6),
        ("group", (2, 6, 4), [2], 3, 6),
        ("l2", (7,), None, None, 1),
        ("l2", (4, 5, 6), None, None, 24),
        ("layer", (), None, None, 1),
    ],
)
def test_the_number_of_sets_is_known(kind: Any, shape: Any, axes: Any, groups: Any, sets: int) -> None:
    assert math.prod(Pooling.of(kind, axes, groups, None).sets_shape(shape)) == sets


def test_limits_decide_about_streams() -> None:
    limits = Limits(1 << 20, 1 << 16)
    assert not limits.is_streamed(1 << 20, is_incremental=True)
    assert limits.is_streamed((1 << 20) + 1, is_incremental=False)
    large = Limits(64 << 20, 4 << 20)
    assert large.is_streamed(32 << 20, is_incremental=True)
    assert not large.is_streamed(32 << 20, is_incremental=False)
    assert (limits.chunk_bytes, large.chunk_bytes, UNKNOWN.chunk_bytes) == (1 << 16, 1 << 20, 1 << 20)
    assert Limits(1024, 1 << 20).chunk_bytes == 1008
    assert not UNKNOWN.is_streamed(1 << 40, is_incremental=True)


@pytest.mark.parametrize(
    ("server", "is_near"),
    [
        ("0.1.9", True),
        ("0.2.0", True),
        ("0.0.1", True),
        ("0.3.0", False),
        ("1.1.0", False),
        ("nonsense", False),
        ("", False),
    ],
)
def test_versions_are_near_within_one_minor_version(server: str, is_near: bool) -> None:
    assert (version_warning(server, "0.1.0") is None) == is_near


def test_a_stream_is_used_for_all_but_what_the_server_must_hold() -> None:
    x = Tensor.of("input", X)
    assert x.dtype.name == "float32"
    assert normalize_call().is_incremental
    assert normalize_call().uses_own_statistics
    with pytest.raises(InvalidArgument):
        normalize_call(statistics=3)
