"""Clips two gradients by their common norm."""

import os

import numpy as np

from evenkeel_client import Client

with Client(os.environ.get("EVENKEEL_ADDRESS", "127.0.0.1:50051")) as client:
    gradients = {"w": np.array([3, 0], np.float32), "b": np.array([0, 4], np.float32)}

    clipped = client.clip_grad_norm(gradients, max_norm=1.0)
    print("total_norm", clipped.total_norm, "scale", clipped.scale)
    for name, gradient in clipped.gradients.items():
        print(name, gradient)
