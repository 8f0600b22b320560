"""Normalize and NormalizeBackward from PyTorch."""

import math

import torch

import normalize_torch as reference
from normalize_torch import Config, Tensors
from vectors import DTYPES, Data, Suite, largest

def suites(rows: list[Config]) -> tuple[Suite, Suite]:
    forward, backward = Suite("Normalize"), Suite("NormalizeBackward")
    for config in rows:
        for name, dtype in DTYPES.items():
            if config.float32_parameters and dtype not in (torch.float16, torch.bfloat16):
                continue
            if config.data == "near 1e30" and dtype == torch.float16:
                continue  # beyond its range
            make_forward(forward, f"{config.name} {name}", config, dtype)
            make_backward(backward, f"{config.name} {name}", config, dtype)
    return forward, backward


def inputs(config: Config, dtype: torch.dtype) -> Tensors:
    # Named by what they depend on, so that cases which differ in their arguments share their tensors.
    x = input_data(config, dtype)
    parameters = Data(f"parameters {config.parameter_shape}")
    shape = config.parameter_shape
    other = torch.float32 if config.float32_parameters else dtype
    weight = parameters.uniform(shape, other, -2.0, 2.0)
    bias = parameters.normal(shape, other)
    running_mean = parameters.normal(shape, other, deviation=0.5)
    running_var = parameters.uniform(shape, other, 0.25, 4.0)
    return Tensors(
        x,
        weight if "weight" in config.affine else None,
        bias if "bias" in config.affine else None,
        running_mean if config.running else None,
        running_var if config.running else None,
    )


def input_data(config: Config, dtype: torch.dtype) -> torch.Tensor:
    data = Data(f"{config.data} {config.shape}")
    shape = config.shape
    match config.data:
        case "normal":
            return data.normal(shape, dtype, mean=0.5, deviation=2.0)
        case "tiny":
            return data.normal(shape, dtype, deviation=1e-4)
        case "consecutive from 40000":
            return torch.arange(40000.0, 40004.0).reshape(shape).to(dtype)
        case "100 +- 0.01":
            return data.normal(shape, dtype, mean=100.0, deviation=0.01)
        case "2000 +- 1":
            return data.normal(shape, dtype, mean=2000.0)
        case "1449 +- 1":
            return data.normal(shape, dtype, mean=1449.0)
        case "near 1e30":
            return data.normal(shape, dtype, mean=1e30, deviation=1e29)
        case "uniform":
            return data.uniform(shape, dtype, 0.0, 1.0)
        case "constant":
            return torch.full(shape, 3.3).to(dtype)
        case "zeros":
            return torch.zeros(shape).to(dtype)
        case "subnormal":
            return data.normal(shape, dtype, deviation=torch.finfo(dtype).tiny / 8)
        case "a NaN" | "an infinity":
            x = data.normal(shape, dtype)
            x[(1, 2, *[0] * (len(shape) - 2))] = math.nan if config.data == "a NaN" else -math.inf
            return x
    raise ValueError(config.data)


def compares_own(config: Config, dtype: torch.dtype) -> bool:
    """Whether PyTorch's result in the dtype itself is close enough to the exact one to be kept."""
    # The mean of one value is that value, so PyTorch's float32 leaves nothing but rounding noise of the difference.
    several = math.prod(config.shape[axis] for axis in config.pooled) > 1
    return dtype != torch.float64 and config.native and several and config.data in ("normal", "uniform")


def case_of(suite: Suite, name: str, config: Config, tensors: Tensors, statistics: bool):
    training = {"training": True, "eval": None}.get(config.running) if config.training is None else config.training
    arguments = {
        "kind": f"NORM_KIND_{config.kind}",
        "axes": list(config.axes) or None,
        "groups": config.groups or None,
        "eps": config.eps,
        "channel_axis": config.channel_axis,
        "training": training,
        "momentum": config.momentum,
        "return_statistics": statistics or None,
    }
    case = suite.case(name, arguments)
    for field in ("weight", "bias", "running_mean", "running_var"):
        case.send(field, getattr(tensors, field))
    case.send("input", tensors.x)
    return case


class Scales:
    """The largest terms that are summed for each result, against which cancellation is measured."""

    def __init__(self, tensors: Tensors, rstd: torch.Tensor, mean: torch.Tensor | None, dy: torch.Tensor | None = None):
        self.x, self.rstd = largest(tensors.x, mean), largest(rstd)
        self.weight = 1.0 if tensors.weight is None else largest(tensors.weight)
        self.bias = 0.0 if tensors.bias is None else largest(tensors.bias)
        self.normalized = self.x * self.rstd
        self.dy = 0.0 if dy is None else largest(dy)
        self.elements = tensors.x.numel()
        spread = 2.0 * self.normalized  # |x - mean| * rstd is no larger
        self.output = spread * self.weight + self.bias
        self.gradient = self.rstd * self.weight * self.dy
        self.grad_input = self.gradient * (1.0 + spread) ** 2
        self.grad_weight = self.elements * self.dy * spread
        self.grad_bias = self.elements * self.dy
        # The variance is a difference of squares of about normalized^2 to 1.
        self.relative_rstd = self.rstd * (1.0 + self.normalized)


def make_forward(suite: Suite, name: str, config: Config, dtype: torch.dtype) -> None:
    tensors = inputs(config, dtype)
    has_elements = tensors.x.numel() > 0
    # The mean of a set with an infinity is infinite to batch_norm and NaN to layer_norm.
    asks = has_elements and (config.data != "an infinity" or config.kind in ("RMS", "L2"))
    case = case_of(suite, name, config, tensors, statistics=asks)
    eps = config.eps_for(dtype)

    exact = tensors.map(torch.Tensor.double)
    mean, rstd = reference.statistics(config, exact, eps) if has_elements else (None, torch.ones(1))
    scales = Scales(tensors, rstd, mean)
    output = reference.forward(config, exact, eps)
    own = None
    if compares_own(config, dtype):
        mine = tensors.map(torch.Tensor.clone)
        own = reference.forward(config, mine, None if config.kind == "RMS" and config.eps is None else eps)
    case.expect_value("axes", config.pooled)
    case.expect("output", output, dtype, scales.output, own)
    if asks:
        of_statistics = torch.float64 if dtype == torch.float64 else torch.float32
        if mean is not None:
            case.expect("mean", mean, of_statistics, scales.x)
        case.expect("rstd", rstd, of_statistics, scales.relative_rstd)
    if config.running == "training":
        for field, scale in (("running_mean", scales.x), ("running_var", scales.x**2)):
            kept = getattr(mine, field) if own is not None else None
            case.expect(field, getattr(exact, field), getattr(tensors, field).dtype, scale, kept, dtype)


def make_backward(suite: Suite, name: str, config: Config, dtype: torch.dtype) -> None:
    if config.momentum is not None:
        return  # no effect on gradients
    tensors = inputs(config, dtype)
    dy = Data(f"grad_output {config.shape}").normal(config.shape, dtype)
    case = case_of(suite, name, config, tensors, statistics=False)
    case.send("grad_output", dy)
    eps = config.eps_for(dtype)

    exact = tensors.map(torch.Tensor.double)
    if tensors.x.numel():
        mean, rstd = reference.statistics(config, exact, eps)
    else:
        mean, rstd = None, torch.ones(1)
    scales = Scales(tensors, rstd, mean, dy)
    gradients = differentiate(config, exact, dy.double(), eps)
    own = dict.fromkeys(gradients)
    if compares_own(config, dtype):
        own = differentiate(config, tensors.map(torch.Tensor.clone), dy, eps)
    for field, gradient in gradients.items():
        like = {"grad_input": tensors.x, "grad_weight": tensors.weight, "grad_bias": tensors.bias}[field]
        term = scales.gradient if field == "grad_input" else 0.0
        case.expect(field, gradient, like.dtype, getattr(scales, field), own[field], dtype, term)


def differentiate(config: Config, t: Tensors, dy: torch.Tensor, eps: float) -> dict[str, torch.Tensor]:
    wanted = {"grad_input": t.x, "grad_weight": t.weight, "grad_bias": t.bias}
    wanted = {field: tensor.requires_grad_() for field, tensor in wanted.items() if tensor is not None}
    output = reference.forward(config, t, eps)
    return dict(zip(wanted, torch.autograd.grad(output, list(wanted.values()), dy)))
