"""Normalizes with a weight, with statistics, and computes the gradients."""

import os

import numpy as np

from evenkeel_client import Client

with Client(os.environ.get("EVENKEEL_ADDRESS", "127.0.0.1:50051")) as client:
    x = np.array([[40000, 40001, 40002, 40003]], np.float32)
    weight = np.ones(4, np.float32)

    y = client.layer_norm(x, weight=weight, eps=1e-6, return_statistics=True)
    print("output", y.output)
    print("mean", y.mean, "rstd", y.rstd, "over the axes", y.axes)

    gradients = client.normalize_backward(x, y.output, "layer", weight=weight, eps=1e-6)
    print("grad_input", gradients.grad_input)
    print("grad_weight", gradients.grad_weight)
