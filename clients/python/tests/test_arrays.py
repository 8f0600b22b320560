from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from evenkeel_client import Client, InvalidArgument
from evenkeel_client._proto import tensor_ops_pb2 as pb
from evenkeel_client._tensors import Received, Tensor

DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0, 2), (2, 3), (2, 1, 3, 4)])
def test_what_is_framed_is_what_protobuf_reads_and_comes_back(dtype: Any, shape: tuple[int, ...]) -> None:
    x = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    tensor = Tensor.of("input", x, "a name")
    message = pb.NormalizeRequest.FromString(b"".join(tensor.framed(14)))
    assert (message.input.name, tuple(message.input.shape), message.input.data) == ("a name", shape, x.tobytes())
    serialized = message.input.SerializeToString()
    y = Received.read(serialized, 0, len(serialized)).decode("output", tensor)
    assert (y.dtype, y.shape, y.tobytes()) == (x.dtype, x.shape, x.tobytes())
    assert y.flags.writeable
    assert y.flags.aligned


def layouts(x: Any) -> dict[str, Any]:
    wide = np.zeros((x.shape[0], 2 * x.shape[1]), x.dtype)
    wide[:, ::2] = x
    return {
        "fortran": np.asfortranarray(x),
        "transposed": np.ascontiguousarray(x.T).T,
        "sliced": wide[:, ::2],
        "reversed": np.ascontiguousarray(x[::-1])[::-1],
        "big-endian": x.astype(x.dtype.newbyteorder(">")),
        "read-only": np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
        "matrix": x.view(np.ndarray),
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_every_layout_becomes_row_major_and_little_endian(dtype: Any) -> None:
    x = np.arange(6).reshape(2, 3).astype(dtype)
    for name, array in layouts(x).items():
        tensor = Tensor.of("input", array)
        assert tensor.data.tobytes() == x.tobytes(), name
        assert tensor.shape == x.shape, name


def test_a_contiguous_array_is_not_copied() -> None:
    x = np.arange(6, dtype=np.float32)
    assert np.shares_memory(Tensor.of("input", x).data, x)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ([1.0], "input"),
        (1.0, "input"),
        (None, "input"),
        (np.ones(2, np.int64), "input.dtype"),
        (np.ones(2, np.complex64), "input.dtype"),
        (np.array(["a"]), "input.dtype"),
        (np.ma.masked_array([1.0], [True]), "input"),
    ],
)
def test_what_is_no_tensor_is_refused_before_anything_is_sent(value: Any, path: str) -> None:
    with Client("127.0.0.1:1") as client, pytest.raises(InvalidArgument) as caught:
        client.layer_norm(value)
    assert [field.path for field in caught.value.fields] == [path]


@pytest.mark.parametrize(
    ("call", "path"),
    [
        (lambda c, x: c.normalize(x, "nonsense"), "kind"),
        (lambda c, x: c.normalize(x, "layer", axes=1.5), "axes"),
        (lambda c, x: c.normalize(x, "layer", axes=[0, "a"]), "axes[1]"),
        (lambda c, x: c.normalize(x, "layer", axes=[2**31]), "axes[0]"),
        (lambda c, x: c.group_norm(x, -1), "groups"),
        (lambda c, x: c.layer_norm(x, eps="a"), "eps"),
        (lambda c, x: c.layer_norm(x, eps=True), "eps"),
        (lambda c, x: c.layer_norm(x, weight=[1.0]), "weight"),
        (lambda c, x: c.layer_norm(x, statistics=b""), "statistics"),
        (lambda c, x: c.layer_norm(x, return_statistics=1), "return_statistics"),
        (lambda c, x: c.layer_norm(x, timeout=-1), "timeout"),
        (lambda c, x: c.layer_norm(x, timeout=float("nan")), "timeout"),
        (lambda c, x: c.batch_norm(x, training="yes"), "training"),
        (lambda c, x: c.dropout(x, "half"), "p"),
        (lambda c, x: c.dropout(x, 0.5, seed=2**64), "seed"),
        (lambda c, x: c.dropout(x, 0.5, seed=-1), "seed"),
        (lambda c, x: c.dropout(x, 0.5, seed=1.0), "seed"),
        (lambda c, x: c.dropout(x, 0.5, offset=2**64), "offset"),
        (lambda c, x: c.dropout(x, 0.5, kind="nonsense"), "kind"),
        (lambda c, x: c.dropout(x, 0.5, scaling=None), "scaling"),
        (lambda c, x: c.dropout(x, 0.5, channel_axis=True), "channel_axis"),
        (lambda c, x: c.clip_grad_norm(x, 1.0), "gradients"),
        (lambda c, x: c.clip_grad_norm([x, [1.0]], 1.0), "gradients[1]"),
        (lambda c, x: c.clip_grad_norm({1: x}, 1.0), "gradients"),
        (lambda c, x: c.clip_grad_norm([x], None), "threshold"),
        (lambda c, x: c.clip_grad_norm([x], 1.0, norm_type="inf"), "norm_type"),
        (lambda c, x: c.clip_grad_norm([x], 1.0, per_tensor=2), "per_tensor"),
        (lambda c, x: c.clip_grad_value([x], 10**400), "threshold"),
        (lambda c, x: c.measure_statistics(x, "batch", grad_output=[1.0]), "grad_output"),
    ],
)
def test_wrong_arguments_are_named_before_anything_is_sent(call: Any, path: str) -> None:
    with Client("127.0.0.1:1", retries=0) as client, pytest.raises(InvalidArgument) as caught:
        call(client, np.ones((2, 2), np.float32))
    assert [field.path for field in caught.value.fields] == [path]
    assert isinstance(caught.value, ValueError)
