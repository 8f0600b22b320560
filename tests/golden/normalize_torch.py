"""A normalization as PyTorch computes it, in whatever dtype its tensors have."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

RMS_EPS = {torch.float64: 2.220446049250313e-16}
RMS_EPS_BELOW = 1.1920928955078125e-07


@dataclass(frozen=True)
class Config:
    """One row of the table in `normalize_cases.py`; fields that are also wire fields mean the same."""

    kind: str
    shape: tuple[int, ...]
    axes: tuple[int, ...] = ()
    groups: int = 0
    channel_axis: int | None = None
    eps: float | None = None
    affine: str = ""  # "weight", "bias", "weight+bias"
    running: str = ""  # "training", "eval": with running statistics
    training: bool | None = None  # None: left to the default
    momentum: float | None = None
    float32_parameters: bool = False  # beside input of another dtype
    data: str = "normal"

    @property
    def name(self) -> str:
        parts = [self.kind.lower(), "x".join(map(str, self.shape))]
        parts += [f"axes={list(self.axes)}".replace(" ", "")] if self.axes else []
        parts += [f"groups={self.groups}"] if self.groups else []
        parts += [f"channel_axis={self.channel_axis}"] if self.channel_axis is not None else []
        parts += [f"eps={self.eps:g}"] if self.eps is not None else []
        parts += [self.affine] if self.affine else []
        parts += [f"running {self.running}"] if self.running else []
        parts += ["explicit"] if self.training is not None else []
        parts += [f"momentum={self.momentum:g}"] if self.momentum is not None else []
        parts += ["float32 parameters"] if self.float32_parameters else []
        parts += [self.data] if self.data != "normal" else []
        return " ".join(parts)

    @property
    def channel(self) -> int:
        return (1 if self.channel_axis is None else self.channel_axis) % len(self.shape)

    @property
    def by_channel(self) -> bool:
        return self.kind in ("BATCH", "INSTANCE", "GROUP")

    @property
    def pooled(self) -> list[int]:
        """The `axes` that the answer must name."""
        rank = len(self.shape)
        if self.axes:
            pooled = {axis % rank for axis in self.axes} | ({self.channel} if self.kind == "GROUP" else set())
        elif self.kind in ("LAYER", "RMS"):
            pooled = {rank - 1} if rank <= 3 else set(range(1, rank))
        elif self.kind == "L2":
            pooled = {1 % rank} if rank > 1 else {0}
        elif self.kind == "BATCH":
            pooled = set(range(rank)) - {self.channel}
        elif self.kind == "INSTANCE":
            pooled = set(range(1, rank)) - {self.channel}
        else:
            pooled = set(range(1, rank))
        return sorted(pooled)

    @property
    def native(self) -> bool:
        """Whether PyTorch has it under the kind's own name, without a detour over layer_norm."""
        rank = len(self.shape)
        if self.kind == "L2":
            return len(self.pooled) == 1
        if self.kind in ("LAYER", "RMS"):
            return self.pooled == list(range(rank - len(self.pooled), rank))
        default = Config(self.kind, self.shape, channel_axis=self.channel_axis)
        return self.pooled == default.pooled

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        if self.by_channel:
            return (self.shape[self.channel],)
        return tuple(self.shape[axis] for axis in self.pooled)

    def eps_for(self, dtype: torch.dtype) -> float:
        if self.eps is not None:
            return self.eps
        if self.kind == "RMS":
            return RMS_EPS.get(dtype, RMS_EPS_BELOW)
        return 1e-12 if self.kind == "L2" else 1e-5


@dataclass
class Tensors:
    x: torch.Tensor
    weight: torch.Tensor | None = None
    bias: torch.Tensor | None = None
    running_mean: torch.Tensor | None = None
    running_var: torch.Tensor | None = None

    def map(self, change) -> "Tensors":
        return Tensors(*(None if t is None else change(t) for t in vars(self).values()))


def forward(config: Config, t: Tensors, eps: float | None) -> torch.Tensor:
    """The output; running statistics are updated in place. `eps` None: PyTorch's default (RMS only)."""
    if config.kind == "L2":
        return normalized_by_norm(config, t.x, eps)
    if not config.native:
        return over_axes(config, t, eps)
    if config.kind == "RMS":
        return F.rms_norm(t.x, [t.x.shape[a] for a in config.pooled], t.weight, eps)
    if config.kind == "LAYER":
        return F.layer_norm(t.x, [t.x.shape[a] for a in config.pooled], t.weight, t.bias, eps)
    x = t.x.movedim(config.channel, 1)
    if config.kind == "GROUP":
        return F.group_norm(x, config.groups, t.weight, t.bias, eps).movedim(1, config.channel)
    own_statistics = config.running != "eval"
    momentum = 0.1 if config.momentum is None else config.momentum
    function = F.batch_norm if config.kind == "BATCH" else F.instance_norm
    y = function(x, t.running_mean, t.running_var, t.weight, t.bias, own_statistics, momentum, eps)
    return y.movedim(1, config.channel)


def normalized_by_norm(config: Config, x: torch.Tensor, eps: float) -> torch.Tensor:
    """`normalize` takes one axis: several are moved to the end and made one."""
    kept = [a for a in range(x.dim()) if a not in config.pooled]
    order = kept + config.pooled
    moved = x.permute(order)
    y = F.normalize(moved.flatten(len(kept)), dim=-1, eps=eps).reshape(moved.shape)
    return y.permute([order.index(a) for a in range(x.dim())])


def over_axes(config: Config, t: Tensors, eps: float) -> torch.Tensor:
    """Any axes: those that are kept come first, layer_norm pools the rest, and the affine map follows."""
    x, pooled = t.x, config.pooled
    if config.kind == "GROUP":
        axis = config.channel
        x = x.unflatten(axis, (config.groups, -1))
        pooled = [a + (a >= axis) for a in pooled]
    kept = [a for a in range(x.dim()) if a not in pooled]
    order = kept + pooled
    moved = x.permute(order)
    norm = F.rms_norm if config.kind == "RMS" else F.layer_norm
    normalized = norm(moved, moved.shape[len(kept) :], eps=eps)
    y = normalized.permute([order.index(a) for a in range(x.dim())]).reshape(t.x.shape)
    affine = [config.channel] if config.by_channel else config.pooled
    shape = [size if a in affine else 1 for a, size in enumerate(t.x.shape)]
    y = y if t.weight is None else y * t.weight.reshape(shape)
    return y if t.bias is None else y + t.bias.reshape(shape)


def statistics(config: Config, t: Tensors, eps: float) -> tuple[torch.Tensor | None, torch.Tensor]:
    """Mean and rstd from the native functions, shaped as the wire has them; no mean for RMS and L2."""
    x = t.x
    if config.kind == "L2":
        return None, torch.linalg.vector_norm(x, dim=config.pooled).clamp_min(eps).reciprocal()
    if not config.native:
        return statistics_over_axes(config, t, eps)
    if config.kind == "RMS":
        keep = x.dim() - len(config.pooled)
        rstd = torch.ops.aten._fused_rms_norm(x, list(x.shape[keep:]), None, eps)[1]
        return None, rstd.reshape(x.shape[:keep])
    if config.kind == "LAYER":
        keep = x.dim() - len(config.pooled)
        _, mean, rstd = torch.native_layer_norm(x, x.shape[keep:], None, None, eps)
        return mean.reshape(x.shape[:keep]), rstd.reshape(x.shape[:keep])
    x = x.movedim(config.channel, 1).contiguous()
    samples, channels = x.shape[:2]
    if config.running == "eval":
        shape = (samples, channels) if config.kind == "INSTANCE" else (channels,)
        rstd = 1.0 / torch.sqrt(t.running_var + eps)
        return t.running_mean.expand(shape), rstd.expand(shape)
    if config.kind == "GROUP":
        space = x[0, 0].numel()
        return torch.native_group_norm(x, None, None, samples, channels, space, config.groups, eps)[1:]
    if config.kind == "INSTANCE":
        flat = x.reshape(1, samples * channels, *x.shape[2:])
        _, mean, rstd = torch.native_batch_norm(flat, None, None, None, None, True, 0.1, eps)
        return mean.reshape(samples, channels), rstd.reshape(samples, channels)
    return torch.native_batch_norm(x, None, None, None, None, True, 0.1, eps)[1:]


def statistics_over_axes(config: Config, t: Tensors, eps: float) -> tuple[torch.Tensor | None, torch.Tensor]:
    x, pooled = t.x, config.pooled
    if config.kind == "GROUP":
        x = x.unflatten(config.channel, (config.groups, -1))
        pooled = [a + (a >= config.channel) for a in pooled]
    if config.kind == "RMS":
        return None, torch.rsqrt(x.square().mean(pooled) + eps)
    return x.mean(pooled), torch.rsqrt(x.var(pooled, correction=0) + eps)
