"""The results of PyTorch and NumPy for the calls of the checks, and the distance of a response from them."""

import math

import numpy as np
import torch
import torch.nn.functional as F

# How far PyTorch's own result in a dtype may be, relative to the largest element: it sums in float32 and rounds often.
OWN = {torch.float32: 1e-5, torch.float64: 1e-13, torch.float16: 8e-3, torch.bfloat16: 6.4e-2}
ALPHA = 1.7580993408473766


def normalize(kind: str, x, weight=None, bias=None, *, groups=1, channel_axis=1, eps=None, running=None, training=True):
    """The output; `running`, (mean, var), is updated in place."""
    if kind == "l2":
        return F.normalize(x, dim=min(1, x.dim() - 1), eps=1e-12 if eps is None else eps)
    eps = 1e-5 if eps is None else eps
    if kind == "rms":
        return F.rms_norm(x, layer_shape(x), weight, eps)
    if kind == "layer":
        return F.layer_norm(x, layer_shape(x), weight, bias, eps)
    x = x.movedim(channel_axis, 1)
    mean, var = running or (None, None)
    if kind == "group":
        y = F.group_norm(x, groups, weight, bias, eps)
    elif kind == "batch":
        y = F.batch_norm(x, mean, var, weight, bias, training, 0.1, eps)
    else:
        y = F.instance_norm(x, mean, var, weight, bias, training, 0.1, eps)
    return y.movedim(1, channel_axis)


def layer_shape(x: torch.Tensor) -> torch.Size:
    """The default of the contract: the last axis of text, all but the first of images."""
    return x.shape[1:] if x.dim() > 3 else x.shape[-1:]


def keep(p: float, seed: int, offset: int, n: int) -> np.ndarray:
    """The mask of draws `offset` to `offset + n`, from the stream that NumPy guarantees."""
    n += offset
    mask = np.random.Philox(key=seed).random_raw((n + 1) // 2).view("<u4")[:n] >= np.uint64(math.ceil(p * 2**32))
    return mask[offset:]


def dropout(kind: str, x: torch.Tensor, p: float, seed: int, offset: int, backward: bool = False) -> torch.Tensor:
    """The output, or with `backward` the gradient of the input, in float64, with one draw for each element or each (n, c)."""
    by_channel = kind in ("channel", "feature_alpha")
    draws = math.prod(x.shape[:2]) if by_channel else x.numel()
    mask = torch.from_numpy(keep(p, seed, offset, draws).repeat(x.numel() // draws)).reshape(x.shape)
    x = x.double()
    if kind in ("alpha", "feature_alpha"):
        a = 1.0 / math.sqrt((ALPHA**2 * p + 1.0) * (1.0 - p))
        shift = 0.0 if backward else a * ALPHA * p
        return torch.where(mask, a * x + shift, 0.0 if backward else shift - a * ALPHA)
    return torch.where(mask, x / (1.0 - p), 0.0)


def clip_norm(gradients: dict[str, torch.Tensor], threshold: float, norm_type: float = 2.0) -> float:
    """Clips in place, and returns the norm before that."""
    return torch.nn.utils.clip_grad_norm_(parameters(gradients), threshold, norm_type).item()


def clip_value(gradients: dict[str, torch.Tensor], threshold: float) -> None:
    torch.nn.utils.clip_grad_value_(parameters(gradients), threshold)


def parameters(gradients: dict[str, torch.Tensor]) -> list[torch.nn.Parameter]:
    result = []
    for gradient in gradients.values():
        result.append(torch.nn.Parameter(torch.empty_like(gradient)))
        result[-1].grad = gradient
    return result


def ulps(got: torch.Tensor, expected: torch.Tensor) -> int:
    """The most representable values between an element and the expected one."""
    integers = {2: torch.int16, 4: torch.int32, 8: torch.int64}[got.element_size()]
    lowest = torch.iinfo(integers).min

    def steps(tensor):
        bits = tensor.contiguous().view(integers).long()
        return torch.where(bits < 0, lowest - bits, bits)

    return (steps(got) - steps(expected)).abs().max().item()


class Report:
    """Prints a line for every check and remembers whether all passed."""

    def __init__(self):
        self.checks, self.failed = 0, 0

    def line(self, name: str, passed: bool, details: str) -> None:
        self.checks += 1
        self.failed += not passed
        print(f"{'ok  ' if passed else 'FAIL'} {name}: {details}")

    def same(self, name: str, got, expected) -> None:
        """Checks that tensors, or Python values, are equal."""
        equal = torch.equal(got, expected) if isinstance(got, torch.Tensor) else got == expected
        self.line(name, equal, "the same" if equal else "not the same")

    def number(self, name: str, got: float, expected: float, rtol: float = 1e-14) -> None:
        self.line(name, math.isclose(got, expected, rel_tol=rtol), f"{got!r}, expected {expected!r} within {rtol:g}")

    def tensor(self, name: str, got: torch.Tensor, exact: torch.Tensor, own: torch.Tensor | None = None) -> None:
        """Checks that `got` is within one unit in the last place of `exact`, which is float64 and rounded to the dtype, and within a
        looser tolerance of `own`, PyTorch's result in the dtype.

        PyTorch needs the one unit: its conversion from float64 to a half type goes through float32 and rounds twice.
        """
        expected = exact.detach().to(got.dtype)
        if got.shape != expected.shape:
            return self.line(name, False, f"shape {tuple(got.shape)}, expected {tuple(expected.shape)}")
        if not (got.isfinite().all() and expected.isfinite().all()):
            return self.line(name, False, "not finite, which no tensor of these checks may be")
        # Where terms cancel, float64 has the precision of the largest term, and not that of the small result.
        scale = exact.detach().abs().max().item() or 1.0
        far = (got.double() - expected.double()).abs() > 2.0**-40 * scale
        distance = ulps(got[far], expected[far]) if far.any() else 0
        allowed = 64 if got.dtype == torch.float64 else 1
        passed, details = distance <= allowed, f"{distance} ulp from torch in float64 (at most {allowed})"
        if own is not None:
            difference = (got.double() - own.detach().double()).abs().max().item() / scale
            passed &= difference <= OWN[got.dtype]
            dtype = str(got.dtype).removeprefix("torch.")
            details += f", {difference:.1e} from torch in {dtype} (at most {OWN[got.dtype]:g})"
        return self.line(name, passed, details)

    def exit_code(self) -> int:
        print(f"{self.checks} checks, {self.failed} failed")
        return 1 if self.failed or not self.checks else 0
