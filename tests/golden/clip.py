"""ClipGradients from torch.nn.utils."""

import math

import torch
from torch.nn.utils import clip_grad_norm_, clip_grad_value_, clip_grads_with_norm_

from vectors import DTYPES, Data, Suite, largest

SHAPES = ((3, 4), (7,), (), (2, 1, 5), (257,))
NORM_TYPES = (None, 1.0, 2.0, 3.0, 0.5, math.inf)
TIGHT = 1e-14  # two ways to add the same float64 squares


def suite() -> Suite:
    suite = Suite("ClipGradients")
    for name, dtype in DTYPES.items():
        gradients = [Data(f"gradient {shape}").normal(shape, dtype, deviation=0.3) for shape in SHAPES]
        for norm_type in NORM_TYPES:
            for threshold in (0.25, 1e7):
                title = f"norm_type={norm_type} threshold={threshold:g} {name}"
                by_norm(suite, f"norm {title}", gradients, threshold, norm_type)
                per_tensor(suite, f"per tensor {title}", gradients, threshold, norm_type)
        for threshold in (0.0, math.inf):
            by_norm(suite, f"norm threshold={threshold:g} {name}", gradients, threshold)
        per_tensor(suite, f"per tensor, some below {name}", gradients, 1.0)
        for threshold in (0.0, 0.45, 0.7, math.inf):
            values = [*gradients, torch.tensor([math.nan, math.inf, -math.inf, -0.0, 0.0, 3.0, -3.0], dtype=dtype)]
            by_value(suite, f"value threshold={threshold:g} {name}", values, threshold)
        reduced_elsewhere(suite, f"total_norm=12.5 {name}", gradients, 2.0, 12.5)
        reduced_elsewhere(suite, f"total_norm=0.5 {name}", gradients, 2.0, 0.5)
        edges(suite, name, dtype)
    mixed = [Data(f"mixed {name}").normal((3, 5), dtype) for name, dtype in DTYPES.items()]
    for norm_type in (2.0, math.inf):
        by_norm(suite, f"norm of mixed dtypes norm_type={norm_type:g}", mixed, 1.0, norm_type, own=False)
    per_tensor(suite, "per tensor, mixed dtypes", mixed, 1.0)
    by_value(suite, "value, mixed dtypes", mixed, 0.7)
    for total_norm in (math.nan, math.inf):
        reduced_elsewhere(suite, f"total_norm={total_norm}", mixed, 1.0, total_norm)
    return suite


def edges(suite: Suite, name: str, dtype: torch.dtype) -> None:
    def tensor(*values: float) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float64).to(dtype)

    by_norm(suite, f"exactly the threshold {name}", [tensor(3.0, -4.0)], 5.0)
    by_norm(suite, f"no gradients {name}", [], 1.0)
    by_norm(suite, f"no elements {name}", [tensor(), tensor().reshape(2, 0)], 1.0)
    by_norm(suite, f"zeros {name}", [tensor(0.0, -0.0), tensor(0.0)], 1.0)
    for kind, bad in (("nan", (math.nan,)), ("inf", (math.inf,)), ("-inf", (-math.inf,)), ("both", (math.nan, math.inf))):
        gradients = [tensor(3.0, -0.0, *bad), tensor(0.0, 12.0)]
        for norm_type in NORM_TYPES[1:]:
            by_norm(suite, f"{kind} norm_type={norm_type} {name}", gradients, 1.0, norm_type)
        per_tensor(suite, f"per tensor {kind} {name}", gradients, 1.0)
        refused(suite, f"error_if_nonfinite {kind} {name}", gradients)
    by_norm(suite, f"inf below an infinite threshold {name}", [tensor(3.0, math.inf)], math.inf)
    by_norm(suite, f"error_if_nonfinite, all finite {name}", [tensor(3.0, 4.0)], 1.0, error_if_nonfinite=True)
    # Where sums in the dtype itself fail: burn#5699, fairscale#263, and squares beyond float32.
    by_norm(suite, f"300 to 1 {name}", [tensor(300.0)], 1.0)
    by_norm(suite, f"norm 5000 {name}", [torch.full((400,), 250.0).to(dtype)], 1.0)
    far = 6e4 if dtype == torch.float16 else 1e30
    for norm_type in (2.0, 3.0):
        by_norm(suite, f"far norm_type={norm_type} {name}", [tensor(far, -far / 2)], 1.0, norm_type, own=False)


def clipped(gradients: list[torch.Tensor], dtype: torch.dtype | None, clip) -> tuple[torch.Tensor | None, list]:
    """The result of `clip`, and the clipped gradients, in `dtype` or in the gradients' own dtype."""
    parameters = []
    for gradient in gradients:
        parameter = torch.nn.Parameter(torch.zeros_like(gradient, dtype=dtype))
        parameter.grad = gradient.to(parameter.dtype).clone()
        parameters.append(parameter)
    result = clip(parameters)
    return result, [parameter.grad for parameter in parameters]


def expect_gradients(case, gradients, exact, own) -> None:
    for index, (gradient, reference, mine) in enumerate(zip(gradients, exact, own)):
        case.expect(f"gradients[{index}]", reference, gradient.dtype, largest(reference), mine)


def scale_for(threshold: float, total: float) -> float:
    scale = threshold / (total + 1e-6)
    return scale if math.isnan(scale) else min(1.0, scale)


def by_norm(suite, name, gradients, threshold, norm_type=None, *, error_if_nonfinite=None, own=True) -> None:
    arguments = {
        "mode": "CLIP_MODE_NORM",
        "threshold": threshold,
        "norm_type": norm_type,
        "error_if_nonfinite": error_if_nonfinite,
    }
    case = suite.case(name, arguments)
    case.send_list("gradients", gradients)
    order = 2.0 if norm_type is None else norm_type
    total, exact = clipped(gradients, torch.float64, lambda p: clip_grad_norm_(p, threshold, order))
    mine = [None] * len(gradients)
    if own and total.isfinite():
        _, mine = clipped(gradients, None, lambda p: clip_grad_norm_(p, threshold, order))
    expect_gradients(case, gradients, exact, mine)
    case.expect_value("total_norm", total.item(), rtol=TIGHT)
    case.expect_value("scale", scale_for(threshold, total.item()), rtol=TIGHT)


def per_tensor(suite, name, gradients, threshold, norm_type=None) -> None:
    arguments = {"mode": "CLIP_MODE_NORM_PER_TENSOR", "threshold": threshold, "norm_type": norm_type}
    case = suite.case(name, arguments)
    case.send_list("gradients", gradients)
    order = 2.0 if norm_type is None else norm_type
    norms, exact = [], []
    for gradient in gradients:
        norm, [result] = clipped([gradient], torch.float64, lambda p: clip_grad_norm_(p, threshold, order))
        norms.append(norm.item())
        exact.append(result)
    expect_gradients(case, gradients, exact, [None] * len(gradients))
    scales = [scale_for(threshold, norm) for norm in norms]
    total = torch.linalg.vector_norm(torch.tensor(norms, dtype=torch.float64), order).item()
    case.expect_value("total_norm", total, rtol=TIGHT)
    case.expect_value("tensor_norms", norms, rtol=TIGHT)
    case.expect_value("scale", math.nan if any(map(math.isnan, scales)) else min(scales), rtol=TIGHT)


def by_value(suite, name, gradients, threshold) -> None:
    case = suite.case(name, {"mode": "CLIP_MODE_VALUE", "threshold": threshold})
    case.send_list("gradients", gradients)
    _, exact = clipped(gradients, torch.float64, lambda p: clip_grad_value_(p, threshold))
    _, mine = clipped(gradients, None, lambda p: clip_grad_value_(p, threshold))
    expect_gradients(case, gradients, exact, mine)
    outside = [(gradient.double().abs() > threshold).sum().item() for gradient in gradients]
    for gradient, count in zip(gradients, outside):
        # The count must not depend on whether the threshold is rounded to the dtype first.
        assert count == (gradient.abs() > torch.tensor(threshold, dtype=gradient.dtype)).sum().item()
    total = torch.linalg.vector_norm(torch.cat([gradient.double().flatten() for gradient in gradients]))
    case.expect_value("clipped_elements", sum(outside))
    case.expect_value("total_norm", total.item(), rtol=TIGHT)
    case.expect_value("scale", 1.0)


def reduced_elsewhere(suite, name, gradients, threshold, total) -> None:
    case = suite.case(name, {"mode": "CLIP_MODE_NORM", "threshold": threshold, "total_norm": total})
    case.send_list("gradients", gradients)
    norm = torch.tensor(total, dtype=torch.float64)
    _, exact = clipped(gradients, torch.float64, lambda p: clip_grads_with_norm_(p, threshold, norm))
    expect_gradients(case, gradients, exact, [None] * len(gradients))
    case.expect_value("total_norm", total)
    case.expect_value("scale", scale_for(threshold, total), rtol=TIGHT)


def refused(suite, name, gradients) -> None:
    case = suite.case(name, {"mode": "CLIP_MODE_NORM", "threshold": 1.0, "error_if_nonfinite": True})
    case.send_list("gradients", gradients)
    try:
        clipped(gradients, torch.float64, lambda p: clip_grad_norm_(p, 1.0, error_if_nonfinite=True))
    except RuntimeError:
        return case.expect_status("FAILED_PRECONDITION")
    raise AssertionError(f"{name}: PyTorch takes it")
