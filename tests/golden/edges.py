"""Asserts PyTorch's answers that differ from ours: README.md's table of differences holds for the pinned version."""

import math

import torch
import torch.nn.functional as F
from torch.nn.utils import clip_grad_norm_

INF, NAN = math.inf, math.nan


def check() -> None:
    normalization()
    norms()
    clipping()
    dropout()


def normalization() -> None:
    x = torch.arange(12.0).reshape(2, 3, 2)
    zeros, ones = torch.zeros(3), torch.ones(3)

    # A running variance of 0 with eps 0 makes the whole channel NaN, not only the elements at the mean.
    assert F.batch_norm(x, zeros, zeros, eps=0.0).isnan().all()
    # eps 0: refused in training by batch_norm, taken by instance_norm, where a constant instance gives 0.
    assert refuses(lambda: F.batch_norm(x, None, None, training=True, eps=0.0))
    assert (F.instance_norm(torch.ones(2, 3, 2), eps=0.0) == 0).all()
    # The same division is NaN in layer_norm and group_norm.
    assert F.layer_norm(torch.ones(2, 4), (4,), eps=0.0).isnan().all()
    assert F.group_norm(torch.ones(2, 4, 3), 2, eps=0.0).isnan().all()
    # Negative, infinite and NaN eps are taken where batch_norm would refuse the first.
    assert refuses(lambda: F.batch_norm(x, zeros, ones, eps=-1.0))
    assert F.instance_norm(x, eps=-1.0).isnan().all() and F.layer_norm(torch.ones(2, 4), (4,), eps=-1.0).isnan().all()
    assert (F.layer_norm(x, (2,), eps=INF) == 0).all() and F.layer_norm(x, (2,), eps=NAN).isnan().all()

    # Without samples batch_norm leaves the running statistics alone; instance_norm makes them NaN.
    mean, var = torch.zeros(3), torch.ones(3)
    F.batch_norm(torch.ones(0, 3, 2), mean, var, training=True)
    assert (mean == 0).all() and (var == 1).all()
    F.instance_norm(torch.ones(0, 3, 2), mean, var)
    assert mean.isnan().all() and var.isnan().all()
    # Without space, group_norm refuses.
    assert refuses(lambda: F.group_norm(torch.ones(2, 4, 0), 2))
    # Rows without elements have a mean of 0 and an rstd of NaN.
    _, mean, rstd = torch.native_layer_norm(torch.ones(3, 0), (0,), None, None, 1e-5)
    assert (mean == 0).all() and rstd.isnan().all()

    # One value in a group is refused only if there is one sample as well.
    assert refuses(lambda: F.group_norm(torch.ones(1, 4), 4))
    assert (F.group_norm(torch.ones(2, 4), 4) == 0).all()
    # A mean over an infinity is infinite to batch_norm, NaN to layer_norm.
    row = torch.tensor([[1.0, INF, 2.0]], dtype=torch.float64)
    assert torch.native_batch_norm(row.T.contiguous(), None, None, None, None, True, 0.1, 1e-5)[1].item() == INF
    assert torch.native_layer_norm(row, (3,), None, None, 1e-5)[1].isnan().all()
    # layer_norm of one float32 value is its bias, but the gradient of its weight is rounding noise instead of 0.
    value, weight = torch.tensor([-3.217]), torch.ones(1, requires_grad=True)
    assert 0 < torch.autograd.grad(F.layer_norm(value, (1,), weight).sum(), weight)[0].abs().item() < 1e-3
    # Statistics of half input are rounded to it.
    assert torch.native_layer_norm(x.half(), (2,), None, None, 1e-5)[1].dtype == torch.float16
    # Weights of another dtype than float32 beside a half input are refused, and so is float64 beside float32.
    assert refuses(lambda: F.layer_norm(x, (2,), torch.ones(2).double(), torch.ones(2).double()))


def norms() -> None:
    # normalize takes a negative eps, which does what 0 does, and its float64 norms overflow.
    assert F.normalize(torch.zeros(1, 2), eps=-1.0).isnan().all()
    assert (F.normalize(torch.full((1, 2), 1e200, dtype=torch.float64)) == 0).all()
    # Zeros without eps are NaN; their gradient is that of the output divided by 0.
    x = torch.zeros(1, 2, requires_grad=True)
    y = F.normalize(x, eps=0.0)
    assert y.isnan().all() and torch.autograd.grad(y, x, torch.tensor([[-1.0, 2.0]]))[0].tolist() == [[-INF, INF]]
    # An infinite gradient makes the others of its set infinite, not NaN.
    x = torch.tensor([[3.0, 4.0]], requires_grad=True)
    dx = torch.autograd.grad(F.normalize(x), x, torch.tensor([[INF, 1.0]]))[0]
    assert dx[0, 0].isnan() and dx[0, 1] == -INF


def clipping() -> None:
    # A norm beyond float32 is infinite, and everything becomes 0.
    far = torch.full((10,), 1e30)
    assert clip(far, 1.0) == INF and (far == 0).all()
    # norm_type 0 (which counts tensors that are not all zero) and below, and negative thresholds, are taken.
    assert clip(torch.tensor([3.0, 0.0, 4.0]), 1.0, norm_type=0.0) == 1
    turned = torch.tensor([3.0, -4.0])
    clip(turned, -1.0)
    assert turned[0] < 0 < turned[1]
    # The largest of no elements is refused; the 2-norm is 0.
    assert refuses(lambda: clip(torch.ones(0), 1.0, norm_type=INF)) and clip(torch.ones(0), 1.0) == 0
    # An infinite norm is NaN times the threshold if that is infinite too. Ours is the same.
    both = torch.tensor([1.0, INF])
    clip(both, INF)
    assert both.isnan().all()


def dropout() -> None:
    # PyTorch multiplies by the mask: NaN and infinity survive as NaN, and -0.0 stays.
    x = torch.tensor([NAN, INF, -INF, -0.0, 2.0])
    for function in (F.dropout, F.alpha_dropout):
        dropped = function(x, 1.0, training=True)
        assert dropped[:3].isnan().all() and (dropped[3:] == 0).all() and dropped[3].signbit()


def clip(gradient: torch.Tensor, threshold: float, **options) -> float:
    parameter = torch.nn.Parameter(torch.zeros_like(gradient))
    parameter.grad = gradient
    return clip_grad_norm_([parameter], threshold, **options).item()


def refuses(call) -> bool:
    try:
        call()
    except (ValueError, RuntimeError):
        return True
    return False
