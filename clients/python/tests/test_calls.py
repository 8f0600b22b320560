from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from evenkeel_client import (
    EvenkeelError,
    InvalidArgument,
    MessageTooLarge,
    NonfiniteNorm,
    NormPartial,
    StatisticsPartial,
    keep_mask,
)
from evenkeel_client.testing import Server

RNG = np.random.default_rng(7)
X = RNG.standard_normal((6, 4, 5)).astype(np.float32)
LARGE = RNG.standard_normal((200, 256)).astype(np.float32)
"""More than a message of the small server."""


def test_layer_norm_is_that_of_the_formula(client: Any) -> None:
    weight, bias = RNG.standard_normal(5).astype(np.float32), RNG.standard_normal(5).astype(np.float64)
    y = client.layer_norm(X, weight=weight, bias=bias, eps=1e-3, return_statistics=True)
    x = X.astype(np.float64)
    mean, rstd = x.mean(2), 1 / np.sqrt(x.var(2) + 1e-3)
    np.testing.assert_allclose(y.output, (x - mean[..., None]) * rstd[..., None] * weight + bias, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(y.mean, mean, rtol=1e-6)
    np.testing.assert_allclose(y.rstd, rstd, rtol=1e-6)
    assert (y.axes, y.output.dtype, y.mean.dtype, y.running_mean) == ((2,), np.float32, np.float32, None)
    y.output[:] = 0  # it is writable


@pytest.mark.parametrize(
    ("name", "options", "axes"),
    [
        ("rms_norm", {}, (2,)),
        ("layer_norm", {"axes": (0, -1)}, (0, 2)),
        ("layer_norm", {"axes": 1}, (1,)),
        ("batch_norm", {}, (0, 2)),
        ("batch_norm", {"channel_axis": -1}, (0, 1)),
        ("instance_norm", {}, (2,)),
        ("group_norm", {"groups": 2}, (1, 2)),
        ("l2_norm", {}, (1,)),
    ],
)
def test_each_kind_pools_its_axes(client: Any, name: str, options: dict[str, Any], axes: tuple[int, ...]) -> None:
    y = getattr(client, name)(X, **options, return_statistics=True)
    assert (y.axes, y.output.shape) == (axes, X.shape)
    assert (y.mean is None) == (name in ("rms_norm", "l2_norm"))


def test_running_statistics_are_updated_in_their_own_dtype(client: Any) -> None:
    mean, var = np.zeros(4, np.float64), np.ones(4, ml_dtypes.bfloat16)
    y = client.batch_norm(X, running_mean=mean, running_var=var, training=True, momentum=1.0)
    np.testing.assert_allclose(y.running_mean, X.astype(np.float64).mean((0, 2)), rtol=1e-12)
    assert (y.running_mean.dtype, y.running_var.dtype) == (mean.dtype, var.dtype)
    assert client.batch_norm(X, running_mean=mean, running_var=var).running_mean is None


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])
def test_every_dtype_and_layout_gives_the_same(client: Any, dtype: Any) -> None:
    x = X.astype(dtype)
    y = client.layer_norm(x).output
    assert y.dtype == x.dtype
    assert np.array_equal(client.layer_norm(np.asfortranarray(x)).output, y)
    assert client.layer_norm(np.empty((0, 3), dtype)).output.shape == (0, 3)


def test_gradients_are_those_of_the_formula(client: Any) -> None:
    weight = np.ones(5, np.float64)
    options = {"weight": weight, "bias": weight, "eps": 0.0, "momentum": 0.5, "return_statistics": True}
    x, g = X.astype(np.float64), RNG.standard_normal(X.shape)
    gradients = client.normalize_backward(x, g, "layer", **options)
    xh = client.normalize(x, "layer", **options).output - 1
    expected = (g - g.mean(2, keepdims=True) - xh * (g * xh).mean(2, keepdims=True)) / x.std(2, keepdims=True)
    np.testing.assert_allclose(gradients.grad_input, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(gradients.grad_weight, (g * xh).sum((0, 1)), rtol=1e-9)
    np.testing.assert_allclose(gradients.grad_bias, g.sum((0, 1)), rtol=1e-9)
    assert client.normalize_backward(x, g, "layer").grad_bias is None


def test_dropout_has_the_local_mask(client: Any) -> None:
    seed = 2**64 - 1
    dropped = client.dropout(X, 0.25, seed=seed, offset=3, return_mask=True)
    mask = keep_mask(seed, X.size, 0.25, offset=3).reshape(X.shape)
    assert np.array_equal(dropped.mask, mask)
    assert dropped.kept == mask.sum()
    assert np.array_equal(dropped.output != 0, mask & (X != 0))
    gradient = client.dropout_backward(X, 0.25, seed=seed, offset=3)
    assert np.array_equal(gradient, dropped.output)


def test_the_mask_of_channels_has_one_draw_for_each(client: Any) -> None:
    dropped = client.dropout(X, 0.5, seed=1, kind="channel", channel_axis=-1, scaling="none", return_mask=True)
    assert dropped.mask.shape == (6, 5)
    assert np.array_equal(dropped.output, np.where(dropped.mask[:, None, :], X, np.float32(0)))


def test_a_dict_comes_back_as_a_dict_and_a_list_as_a_list(client: Any) -> None:
    gradients: dict[str, Any] = {
        "w": np.array([3, 0], np.float32),
        "b": np.array([[0], [4]], np.float64),
        "e": np.empty(0, np.float16),
    }
    clipped = client.clip_grad_norm(gradients, 1.0, epsilon=0)
    assert list(clipped.gradients) == list(gradients)
    assert (clipped.total_norm, clipped.scale, clipped.tensor_norms) == (5.0, 0.2, ())
    for name, gradient in gradients.items():
        assert clipped.gradients[name].dtype == gradient.dtype
        np.testing.assert_allclose(clipped.gradients[name], gradient / 5, rtol=1e-7)
    listed = client.clip_grad_norm(list(gradients.values()), 1.0, per_tensor=True, norm_type=math.inf)
    assert (type(listed.gradients), listed.tensor_norms) == (list, (3.0, 4.0, 0.0))
    assert client.clip_grad_norm({}, 1.0).gradients == {}


def test_clipping_by_value_counts(client: Any) -> None:
    clipped = client.clip_grad_value([np.array([3.0, -0.5, -2.0])], 1.0)
    assert (clipped.clipped_elements, clipped.gradients[0].tolist()) == (2, [1.0, -0.5, -1.0])


def test_a_norm_that_is_not_finite_is_described(client: Any, clients: Any, small_server: Server) -> None:
    gradients = {"fine": LARGE, "bad": np.array([np.nan, np.inf, 1.0])}
    for one in (client, clients(small_server.address)):
        with pytest.raises(NonfiniteNorm) as caught:
            one.clip_grad_norm(gradients, 1.0, error_if_nonfinite=True)
        error = caught.value
        assert math.isnan(error.total_norm)
        assert (error.nan_elements, error.infinite_elements, error.nonfinite_gradients) == (1, 1, 1)
        assert error.gradients == [(1, "bad")]


def test_norms_of_parts_merge_to_the_norm_of_all(client: Any) -> None:
    parts = [X.reshape(-1)[begin : begin + 50] for begin in range(0, X.size, 50)]
    for order in (1, 2, math.inf):
        whole = client.measure_gradients([X], order)
        first, *others = (client.measure_gradients([part], order) for part in parts)
        merged = first.merge(*others)
        assert merged == whole
        assert NormPartial.from_bytes(merged.to_bytes()) == whole
        clipped = client.clip_grad_norm([X], 1.0, norm_type=order)
        assert whole.total_norm == clipped.total_norm


def test_statistics_of_parts_merge_to_those_of_all(client: Any) -> None:
    g = RNG.standard_normal(X.shape).astype(np.float32)
    halves = [client.measure_statistics(x, "batch", grad_output=dy) for x, dy in ((X[:2], g[:2]), (X[2:], g[2:]))]
    merged = halves[0].merge(halves[1])
    assert merged == client.measure_statistics(X, "batch", grad_output=g)
    assert StatisticsPartial.from_bytes(merged.to_bytes()) == merged
    assert (merged.shape, merged.elements, merged.has_gradients) == ((4,), 30, True)
    whole = client.batch_norm(X, statistics=merged).output
    assert np.array_equal(client.batch_norm(X[2:], statistics=merged).output, whole[2:])
    part = client.normalize_backward(X[2:], g[2:], "batch", statistics=merged)
    assert part.grad_input.shape == X[2:].shape


def test_wrong_arguments_have_the_servers_paths(client: Any, clients: Any, small_server: Server) -> None:
    for one in (client, clients(small_server.address)):
        with pytest.raises(InvalidArgument) as caught:
            one.normalize(LARGE, "layer", eps=-1, groups=2)
        assert {field.path for field in caught.value.fields} == {"eps", "groups"}


def test_large_calls_are_streams_with_the_same_bytes(client: Any, clients: Any, small_server: Server) -> None:
    small = clients(small_server.address)
    running = {"running_mean": np.zeros(256, np.float32), "running_var": np.ones(256, np.float32)}
    for kind, options in (
        ("layer", {"return_statistics": True}),
        ("rms", {"axes": [0, 1]}),
        ("batch", {"training": True, **running}),
        ("batch", running),
        ("group", {"groups": 4}),
    ):
        one, other = (each.normalize(LARGE, kind, **options) for each in (client, small))
        for name in ("output", "mean", "rstd", "running_mean", "running_var"):
            assert np.array_equal(getattr(one, name), getattr(other, name)), (kind, name)
        assert one.axes == other.axes
    one, other = (each.dropout(LARGE, 0.3, seed=5, return_mask=True) for each in (client, small))
    assert (one.kept, one.output.tobytes(), one.mask.tobytes()) == (
        other.kept,
        other.output.tobytes(),
        other.mask.tobytes(),
    )
    one, other = (each.dropout_backward(LARGE, 0.3, seed=5) for each in (client, small))
    assert one.tobytes() == other.tobytes()
    gradients: dict[str, Any] = {
        "a": LARGE,
        "none": np.empty((0, 2), np.float64),
        "b": X,
        "c": LARGE.astype(np.float16),
    }
    settings: list[dict[str, Any]] = [
        {},
        {"per_tensor": True},
        {"norm_type": 3},
        {"not_above": True},
        {"total_norm": 7.0},
    ]
    for setting in settings:
        one, other = (each.clip_grad_norm(gradients, 1.0, **setting) for each in (client, small))
        assert same(one, other), setting
    assert same(*(each.clip_grad_value(gradients, 0.5) for each in (client, small)))
    assert client.measure_gradients(gradients) == small.measure_gradients(gradients)
    assert client.measure_statistics(LARGE, "batch") == small.measure_statistics(LARGE, "batch")


def same(one: Any, other: Any) -> bool:
    numbers = ("total_norm", "scale", "clipped_elements", "tensor_norms")
    pairs = zip(one.gradients.items(), other.gradients.items(), strict=True)
    return all(getattr(one, name) == getattr(other, name) for name in numbers) and all(
        (name, a.dtype, a.shape, a.tobytes()) == (also, b.dtype, b.shape, b.tobytes()) for (name, a), (also, b) in pairs
    )


def test_what_the_server_cannot_hold_takes_two_passes(clients: Any) -> None:
    with Server("--max-message-bytes", "65536", "--max-bytes-in-flight", "4194304") as server, Server() as free:
        small, large = clients(server.address), clients(free.address)
        x = RNG.standard_normal((3 << 20,)).astype(np.float32).reshape(-1, 256)
        np.testing.assert_allclose(small.batch_norm(x).output, large.batch_norm(x).output, rtol=1e-6, atol=1e-6)
        gradients = {"a": x, "b": x[:100]}
        for per_tensor in (False, True):
            clipped = [each.clip_grad_norm(gradients, 1.0, per_tensor=per_tensor) for each in (small, large)]
            assert same(*clipped)
        with pytest.raises(NonfiniteNorm) as caught:
            small.clip_grad_norm({"a": x, "b": x * np.float32(np.inf)}, 1.0, per_tensor=True, error_if_nonfinite=True)
        assert caught.value.gradients == [(1, "b")]


def test_gradients_of_a_normalization_have_no_stream(clients: Any, small_server: Server) -> None:
    with pytest.raises(MessageTooLarge) as caught:
        clients(small_server.address).normalize_backward(LARGE, LARGE, "layer")
    assert caught.value.reason == "MESSAGE_TOO_LARGE"


def test_statistics_that_are_larger_than_the_tensor_fit_too(clients: Any, small_server: Server) -> None:
    x = RNG.standard_normal((7000, 1)).astype(np.float16)
    y = clients(small_server.address).layer_norm(x, return_statistics=True)
    assert y.mean.shape == (7000,)
    assert np.array_equal(y.mean, x[:, 0].astype(np.float32))


def test_server_info_has_the_limits(clients: Any, small_server: Server) -> None:
    info = clients(small_server.address).server_info()
    assert (info.max_message_bytes, info.max_stream_chunk_bytes) == (65536, 4096)
    assert "bfloat16" in info.dtypes
    assert "l2" in info.kinds


def test_a_closed_client_makes_no_calls(clients: Any, evenkeel_server: Server) -> None:
    client = clients(evenkeel_server.address)
    client.layer_norm(X)
    clients.made.clear()
    inner = getattr(client, "client", client)
    client.layer_norm(X)
    del inner
    if hasattr(client, "loop"):
        client.loop.run_until_complete(client.client.close())
        with pytest.raises(RuntimeError, match="closed"):
            client.layer_norm(X)
        client.close()
    else:
        client.close()
        with pytest.raises(RuntimeError, match="closed"):
            client.layer_norm(X)


def test_a_unix_socket_is_an_address(clients: Any, tmp_path: Any) -> None:
    with Server(listen=f"unix:{tmp_path}/socket") as server:
        assert clients(server.address).layer_norm(X).axes == (2,)


def test_a_token_is_sent_and_its_lack_is_an_error(clients: Any, tmp_path: Any) -> None:
    (tmp_path / "token").write_text("secret\n")
    with Server("--auth-token-file", str(tmp_path / "token")) as server:
        assert clients(server.address, token="secret").layer_norm(X).axes == (2,)
        for token in (None, "wrong"):
            with pytest.raises(EvenkeelError) as caught:
                clients(server.address, token=token).layer_norm(X)
            assert caught.value.code.name == "UNAUTHENTICATED"
            assert type(caught.value).__name__ == "Unauthenticated"
