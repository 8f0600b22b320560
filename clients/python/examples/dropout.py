"""Drops elements, and shows that the mask can be computed without a server."""

import os

import numpy as np

from evenkeel_client import Client, keep_mask

with Client(os.environ.get("EVENKEEL_ADDRESS", "127.0.0.1:50051")) as client:
    x = np.ones((2, 8), np.float32)

    dropped = client.dropout(x, 0.3, seed=42, return_mask=True)
    print(dropped.output)
    print("kept", dropped.kept, "of", x.size)

    mask = keep_mask(seed=42, n=x.size, p=0.3).reshape(x.shape)
    print("the local mask is the same:", bool((mask == dropped.mask).all()))
    print("gradient", client.dropout_backward(x, 0.3, seed=42))
