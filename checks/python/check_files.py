"""Checks files that the command line wrote against PyTorch.

    python check_files.py normalize tests/data/digits.npy digits.layer.npy --kind layer
    python check_files.py dropout tests/data/digits.npy digits.dropout.npy --p 0.5 --seed 0
    python check_files.py clip tests/data/gradients.safetensors gradients.clipped.safetensors --threshold 1

The flags are those of the command that wrote the file, with its defaults.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

import torch_reference as reference
from torch_reference import Report


def read(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a .npy or .safetensors file by name; the one tensor of a .npy file has the empty name."""
    return {"": torch.from_numpy(np.load(path))} if path.suffix == ".npy" else load_file(path)


def normalize(report: Report, inputs: dict, outputs: dict, arguments) -> None:
    for name, x in inputs.items():
        # The default of eps is another one for RMS.
        default = torch.finfo(torch.float64 if x.dtype == torch.float64 else torch.float32).eps
        eps = default if arguments.eps is None and arguments.kind == "rms" else arguments.eps
        options = {"eps": eps, "groups": arguments.groups, "channel_axis": arguments.channel_axis}
        exact = reference.normalize(arguments.kind, x.double(), **options)
        own = reference.normalize(arguments.kind, x, **options)
        report.tensor(f"normalize {arguments.kind} {name}".strip(), outputs[name], exact, own)


def dropout(report: Report, inputs: dict, outputs: dict, arguments) -> None:
    offset = arguments.offset
    kind = arguments.kind.replace("-", "_")
    for name, x in inputs.items():
        exact = reference.dropout(kind, x, arguments.p, arguments.seed, offset)
        report.tensor(f"dropout {kind} {name}".strip(), outputs[name], exact)
        # Several tensors draw one after another.
        offset += x.shape[0] * x.shape[1] if kind in ("channel", "feature_alpha") else x.numel()


def clip(report: Report, inputs: dict, outputs: dict, arguments) -> None:
    threshold = arguments.threshold
    exact = {name: gradient.double() for name, gradient in inputs.items()}
    own = {name: gradient.clone() for name, gradient in inputs.items()}
    for gradients in (exact, own):
        if arguments.mode == "value":
            reference.clip_value(gradients, threshold)
        elif arguments.mode == "norm":
            reference.clip_norm(gradients, threshold, arguments.norm_type)
        else:
            for name in gradients:
                reference.clip_norm({name: gradients[name]}, threshold, arguments.norm_type)
    for name in inputs:
        report.tensor(f"clip {arguments.mode} {name}".strip(), outputs[name], exact[name], own[name])


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)

    def command(function) -> argparse.ArgumentParser:
        command = commands.add_parser(function.__name__)
        command.set_defaults(check=function)
        command.add_argument("input", type=Path)
        command.add_argument("output", type=Path)
        return command

    normalizing = command(normalize)
    normalizing.add_argument("--kind", choices=("batch", "layer", "rms", "instance", "group", "l2"), required=True)
    normalizing.add_argument("--eps", type=float)
    normalizing.add_argument("--groups", type=int, default=0)
    normalizing.add_argument("--channel-axis", type=int, default=1)
    dropping = command(dropout)
    dropping.add_argument("--p", type=float, default=0.5)
    dropping.add_argument("--seed", type=int, default=0)
    dropping.add_argument("--offset", type=int, default=0)
    dropping.add_argument("--kind", choices=("element", "channel", "alpha", "feature-alpha"), default="element")
    clipping = command(clip)
    clipping.add_argument("--mode", choices=("norm", "value", "norm-per-tensor"), default="norm")
    clipping.add_argument("--threshold", type=float, default=1.0)
    clipping.add_argument("--norm-type", type=float, default=2.0)
    return parser.parse_args()


def main() -> int:
    arguments = parse()
    inputs, outputs = read(arguments.input), read(arguments.output)
    report = Report()
    report.same("names", sorted(outputs), sorted(inputs))
    report.same("dtypes", [outputs[name].dtype for name in inputs], [x.dtype for x in inputs.values()])
    arguments.check(report, inputs, outputs, arguments)
    return report.exit_code()


if __name__ == "__main__":
    sys.exit(main())
