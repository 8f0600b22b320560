"""Calls every RPC of a running evenkeel on the repository's tensors and compares with PyTorch and NumPy.

    pip install -r requirements-check.txt
    python check.py --target 127.0.0.1:50051

The stubs are generated from the proto alone. Prints one line for each check; exits with 1 if one fails.
"""

import argparse
import sys
from pathlib import Path

import grpc
import numpy as np
import torch
from safetensors.torch import load_file

import stubs
import torch_reference as reference
from torch_reference import Report
from wire import Wire

DATA = Path(__file__).resolve().parents[2] / "tests" / "data"
# The options of each kind of normalization, for images and for text (N, L, D).
IMAGES = {"layer": {}, "batch": {}, "rms": {"eps": 1e-6}, "instance": {}, "group": {"groups": 1}, "l2": {}}
TEXT = {
    "layer": {},
    "rms": {"eps": 1e-6},
    "batch": {"channel_axis": 2},
    "instance": {"channel_axis": 2},
    "group": {"channel_axis": 2, "groups": 8},
    "l2": {},
}


class Checks:
    def __init__(self, target: str):
        self.pb, rpc = stubs.load()
        self.wire = Wire(self.pb)
        self.report = Report()
        unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self.service = rpc.TensorOpsServiceStub(grpc.insecure_channel(target, unlimited))

    def run(self) -> int:
        digits = torch.from_numpy(np.load(DATA / "digits.npy"))
        hidden = {"float32": torch.from_numpy(np.load(DATA / "activations.npy"))}
        hidden["float64"] = hidden["float32"].double()
        halves = load_file(DATA / "activations_half.safetensors")
        hidden |= {name.removeprefix("hidden."): tensor for name, tensor in halves.items()}
        learned = load_file(DATA / "activations_norm.safetensors")
        for kind, options in IMAGES.items():
            self.normalize(f"{kind} digits", kind, digits, None, None, options)
        for name, x in hidden.items():
            for kind, options in TEXT.items():
                weight, bias = (learned[field].to(x.dtype) for field in ("weight", "bias"))
                weight, bias = None if kind == "l2" else weight, None if kind in ("rms", "l2") else bias
                self.normalize(f"{kind} activations {name}", kind, x, weight, bias, options)
        for kind in ("batch", "instance"):
            self.running(kind, hidden["float32"])
        for kind in ("element", "channel", "alpha", "feature_alpha"):
            for name, x in (("digits float32", digits), ("activations bfloat16", hidden["bfloat16"])):
                self.dropout(f"{kind} {name}", kind, x, p=0.3, seed=2**64 - 1, offset=5)
        self.clip(load_file(DATA / "gradients.safetensors"))
        return self.report.exit_code()

    def normalize(self, name: str, kind: str, x, weight, bias, options: dict) -> None:
        """Checks both directions. The gradient of the output is the input itself, in reverse."""
        fields = dict(
            kind=getattr(self.pb, f"NORM_KIND_{kind.upper()}"),
            weight=self.wire.encode(weight),
            bias=self.wire.encode(bias),
            input=self.wire.encode(x),
            **options,
        )
        answer = self.service.Normalize(self.pb.NormalizeRequest(**fields))
        dy = x.flatten().flip(0).reshape(x.shape)
        gradients = self.service.NormalizeBackward(
            self.pb.NormalizeBackwardRequest(grad_output=self.wire.encode(dy), **fields)
        )

        def torchs(dtype):
            sent = {"grad_input": x, "grad_weight": weight, "grad_bias": bias}
            leaves = {k: t.to(dtype).clone().requires_grad_() for k, t in sent.items() if t is not None}
            y = reference.normalize(kind, *(leaves.get(k) for k in sent), **options)
            return y, dict(zip(leaves, torch.autograd.grad(y, list(leaves.values()), dy.to(dtype))))

        (exact, exact_gradients), (own, own_gradients) = torchs(torch.float64), torchs(x.dtype)
        self.report.tensor(f"Normalize {name}", self.wire.decode(answer.output), exact, own)
        for field, gradient in exact_gradients.items():
            got = self.wire.decode(getattr(gradients, field))
            self.report.tensor(f"NormalizeBackward {name} {field}", got, gradient, own_gradients[field])

    def running(self, kind: str, x: torch.Tensor) -> None:
        channels = x.shape[2]
        start = torch.linspace(-1, 1, channels), torch.linspace(0.5, 2, channels)
        for training in (True, False):
            answer = self.service.Normalize(
                self.pb.NormalizeRequest(
                    kind=getattr(self.pb, f"NORM_KIND_{kind.upper()}"),
                    channel_axis=2,
                    training=training,
                    running_mean=self.wire.encode(start[0]),
                    running_var=self.wire.encode(start[1]),
                    input=self.wire.encode(x),
                )
            )
            exact = tuple(tensor.double() for tensor in start)
            own = tuple(tensor.clone() for tensor in start)
            options = {"channel_axis": 2, "training": training}
            expected = reference.normalize(kind, x.double(), running=exact, **options)
            mine = reference.normalize(kind, x, running=own, **options)
            mode = "training" if training else "evaluation"
            self.report.tensor(f"Normalize {kind} {mode}", self.wire.decode(answer.output), expected, mine)
            for index, field in enumerate(("running_mean", "running_var") if training else ()):
                got = self.wire.decode(getattr(answer, field))
                self.report.tensor(f"Normalize {kind} {mode} {field}", got, exact[index], own[index])

    def dropout(self, name: str, kind: str, x: torch.Tensor, **options) -> None:
        kind_on_wire = getattr(self.pb, f"DROPOUT_KIND_{kind.upper()}")
        sent = self.wire.encode(x)
        answer = self.service.Dropout(
            self.pb.DropoutRequest(kind=kind_on_wire, return_mask=True, input=sent, **options)
        )
        draws = x.shape[0] * x.shape[1] if kind in ("channel", "feature_alpha") else x.numel()
        mask = reference.keep(n=draws, **options)
        self.report.same(f"Dropout {name} mask", answer.mask, np.packbits(mask, bitorder="little").tobytes())
        self.report.same(f"Dropout {name} kept", answer.kept, int(mask.sum()) * (x.numel() // draws))
        expected = reference.dropout(kind, x, **options)
        self.report.tensor(f"Dropout {name}", self.wire.decode(answer.output), expected)
        answer = self.service.DropoutBackward(
            self.pb.DropoutBackwardRequest(kind=kind_on_wire, grad_output=sent, **options)
        )
        expected = reference.dropout(kind, x, backward=True, **options)
        self.report.tensor(f"DropoutBackward {name}", self.wire.decode(answer.grad_input), expected)

    def clip(self, gradients: dict[str, torch.Tensor]) -> None:
        sent = [self.wire.encode(gradient, name) for name, gradient in gradients.items()]
        for norm_type in (2.0, 1.0, float("inf")):
            answer = self.service.ClipGradients(
                self.pb.ClipGradientsRequest(
                    mode=self.pb.CLIP_MODE_NORM, threshold=1.0, norm_type=norm_type, gradients=sent
                )
            )
            exact = {name: gradient.double() for name, gradient in gradients.items()}
            own = {name: gradient.clone() for name, gradient in gradients.items()}
            total = reference.clip_norm(exact, 1.0, norm_type)
            reference.clip_norm(own, 1.0, norm_type)
            self.report.number(f"ClipGradients norm {norm_type} total_norm", answer.total_norm, total)
            self.clipped(f"ClipGradients norm {norm_type}", answer, exact, own)
        answer = self.service.ClipGradients(
            self.pb.ClipGradientsRequest(mode=self.pb.CLIP_MODE_NORM_PER_TENSOR, threshold=10.0, gradients=sent)
        )
        exact = {name: gradient.double() for name, gradient in gradients.items()}
        own = {name: gradient.clone() for name, gradient in gradients.items()}
        for index, name in enumerate(gradients):
            norm = reference.clip_norm({name: exact[name]}, 10.0)
            reference.clip_norm({name: own[name]}, 10.0)
            self.report.number(f"ClipGradients per tensor {name} norm", answer.tensor_norms[index], norm)
        self.clipped("ClipGradients per tensor", answer, exact, own)
        answer = self.service.ClipGradients(
            self.pb.ClipGradientsRequest(mode=self.pb.CLIP_MODE_VALUE, threshold=0.05, gradients=sent)
        )
        exact = {name: gradient.double() for name, gradient in gradients.items()}
        own = {name: gradient.clone() for name, gradient in gradients.items()}
        outside = sum((gradient.abs() > 0.05).sum().item() for gradient in exact.values())
        reference.clip_value(exact, 0.05)
        reference.clip_value(own, 0.05)
        self.report.same("ClipGradients value clipped_elements", answer.clipped_elements, outside)
        self.clipped("ClipGradients value", answer, exact, own)

    def clipped(self, name: str, answer, exact: dict, own: dict) -> None:
        self.report.same(f"{name} names", [gradient.name for gradient in answer.gradients], list(exact))
        for gradient in answer.gradients:
            got = self.wire.decode(gradient)
            self.report.tensor(f"{name} {gradient.name}", got, exact[gradient.name], own[gradient.name])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", required=True, metavar="HOST:PORT", help="where evenkeel listens")
    return Checks(parser.parse_args().target).run()


if __name__ == "__main__":
    sys.exit(main())
