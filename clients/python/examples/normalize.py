"""Normalizes a row far from zero with a weight, and computes the gradients."""

import os
from typing import Any

import numpy as np

from evenkeel_client import Client


def show(name: str, values: Any) -> None:
    """Print a name and numbers."""
    print(name, *(f"{value:.7f}" for value in np.ravel(values)))


with Client(os.environ.get("EVENKEEL_ADDRESS", "127.0.0.1:50051")) as client:
    x = np.array([[40000, 40001, 40002, 40003]], np.float32)
    weight = np.array([1, 1, 1, 2], np.float32)

    y = client.layer_norm(x, weight=weight, eps=1e-6, return_statistics=True)
    show("output", y.output)
    show("mean", y.mean)
    show("rstd", y.rstd)

    grad_output = np.array([[1, 0, 0, 0]], np.float32)
    gradients = client.normalize_backward(x, grad_output, "layer", weight=weight, eps=1e-6)
    show("grad_input", gradients.grad_input)
    show("grad_weight", gradients.grad_weight)
