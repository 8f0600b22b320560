"""PyTorch on the CPU, in the dtype of the data: the same operations on the same tensors.

Outputs that this PyTorch does not compute in a dtype are left out, and counted.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from data import NormData
from grid import ClipPoint, DropoutPoint, NormPoint


def normalize(point: NormPoint, data: NormData) -> dict | None:
    x = data.x.clone().requires_grad_()
    leaves = {"grad_input": x}
    weight, bias = data.weight, data.bias
    if weight is not None:
        leaves["grad_weight"] = weight = weight.clone().requires_grad_()
    if bias is not None:
        leaves["grad_bias"] = bias = bias.clone().requires_grad_()
    running = [None if tensor is None else tensor.clone() for tensor in (data.running_mean, data.running_var)]
    try:
        y = forward(point, data, x, weight, bias, running)
        gradients = torch.autograd.grad(y, list(leaves.values()), data.dy)
        results = {"output": y.detach(), **dict(zip(leaves, gradients))}
        if point.mode == "update":
            results |= {"running_mean": running[0], "running_var": running[1]}
        return results | statistics(point, data)
    except (RuntimeError, NotImplementedError):
        return None


def forward(point: NormPoint, data: NormData, x, weight, bias, running):
    kind, eps = point.operation, data.eps
    if kind == "layer":
        return F.layer_norm(x, x.shape[1:], weight, bias, eps)
    if kind == "rms":
        return F.rms_norm(x, x.shape[1:], weight, eps)
    if kind == "l2":
        return F.normalize(x, dim=1, eps=eps)
    if kind == "group":
        return F.group_norm(x, data.pooling.groups, weight, bias, eps)
    if kind == "batch":
        return F.batch_norm(x, *running, weight, bias, point.mode != "running", 0.1, eps)
    return F.instance_norm(x, *running, weight, bias, point.mode != "running", 0.1, eps)


def statistics(point: NormPoint, data: NormData) -> dict:
    """Mean and rstd, which the functional interface does not return; for RMS and L2 no function does."""
    pooling, x = data.pooling, data.x
    if point.operation == "layer":
        _, mean, rstd = torch.native_layer_norm(x, x.shape[1:], None, None, data.eps)
    elif point.operation == "group":
        shape = (pooling.samples, pooling.channels, pooling.positions)
        _, mean, rstd = torch.native_group_norm(x, None, None, *shape, pooling.groups, data.eps)
    elif point.operation in ("batch", "instance") and point.mode == "own":
        # Instance normalization is batch normalization with a channel for each set.
        view = x if point.operation == "batch" else x.reshape(1, -1, pooling.positions)
        _, mean, rstd = torch.native_batch_norm(view, None, None, None, None, True, 0.1, data.eps)
    else:
        return {}
    return {"mean": mean, "rstd": rstd}


DROPOUTS = {
    "element": F.dropout,
    "channel": F.dropout1d,
    "alpha": F.alpha_dropout,
    "feature_alpha": F.feature_alpha_dropout,
}


def dropout(point: DropoutPoint, x, dy, seed: int) -> dict | None:
    """Dropout with PyTorch's own mask, which is found by dropout of ones with the same seed and returned, too."""

    def run(tensor):
        torch.manual_seed(seed)
        return DROPOUTS[point.kind](tensor, point.p, True)

    try:
        # The gradient of a one is 0 only if the one is dropped.
        ones = torch.ones_like(x).requires_grad_()
        kept = torch.autograd.grad(run(ones).sum(), ones)[0] != 0
        leaf = x.clone().requires_grad_()
        y = run(leaf)
        return {"output": y.detach(), "grad_input": torch.autograd.grad(y, leaf, dy)[0], "kept": kept.numpy()}
    except (RuntimeError, NotImplementedError):
        return None


def clip(point: ClipPoint, gradients: list, threshold: float):
    """The norms and the clipped tensors."""
    parameters = []
    for gradient in gradients:
        parameters.append(torch.nn.Parameter(torch.empty_like(gradient)))
        parameters[-1].grad = gradient.clone()
    if point.mode == "value":
        torch.nn.utils.clip_grad_value_(parameters, threshold)
        norms = []
    elif point.mode == "norm":
        norms = [torch.nn.utils.clip_grad_norm_(parameters, threshold, point.order)]
    else:
        norms = [torch.nn.utils.clip_grad_norm_([each], threshold, point.order) for each in parameters]
    return norms, [parameter.grad for parameter in parameters]
