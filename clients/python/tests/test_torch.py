from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from evenkeel_client import InvalidArgument, convert

torch: Any = pytest.importorskip("torch")


def test_tensors_go_in_and_come_out(client: Any) -> None:
    x = torch.randn(3, 4, 5)
    y = client.layer_norm(x, weight=torch.ones(5, dtype=torch.bfloat16), return_statistics=True)
    assert torch.equal(y.output, torch.from_numpy(client.layer_norm(x.numpy()).output))
    torch.testing.assert_close(y.output, torch.nn.functional.layer_norm(x, (5,)))
    torch.testing.assert_close(y.mean, x.mean(2))
    y.output.add_(1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shape", [(), (0, 3), (4, 6)])
def test_every_dtype_and_shape_comes_back(client: Any, dtype: Any, shape: tuple[int, ...]) -> None:
    x = torch.ones(shape, dtype=dtype)
    y = client.dropout(x, 0.0, seed=1).output
    assert torch.equal(x, y)
    assert y.dtype == dtype
    assert torch.equal(client.dropout(x.T if len(shape) == 2 else x, 0.0).output, x.T if len(shape) == 2 else x)


def test_gradients_keep_their_names_and_dtypes(client: Any) -> None:
    model = torch.nn.Linear(3, 2)
    model(torch.ones(1, 3)).sum().backward()
    clipped = client.clip_grad_norm({name: p.grad for name, p in model.named_parameters()}, 0.5)
    total = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    assert abs(clipped.total_norm - float(total)) < 1e-6
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(clipped.gradients[name], parameter.grad)


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (lambda: torch.ones(2, requires_grad=True), "input"),
        (lambda: torch.ones(2, device="meta"), "input"),
        (lambda: torch.ones(2, 2).to_sparse(), "input"),
        (lambda: torch.ones(2, dtype=torch.int64), "input.dtype"),
    ],
)
def test_what_cannot_be_sent_is_refused(client: Any, make: Any, path: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        client.layer_norm(make())
    assert caught.value.fields[0].path == path


def test_conversion_needs_no_ml_dtypes() -> None:
    x = torch.tensor([1.0, 1 + 2.0**-8 + 2.0**-40, float("nan")], dtype=torch.float64)
    y = convert(x, "bfloat16")
    assert y.dtype == torch.bfloat16
    assert y[1] == 1 + 2**-7
    assert np.isnan(float(y[2]))
