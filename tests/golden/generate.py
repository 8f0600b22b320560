"""Writes the golden vectors beside this file: the answers of PyTorch and NumPy to calls of every operation.

    pip install -r requirements.txt
    python generate.py

README.md says what is in them and how close an answer must be.
"""

from pathlib import Path

import torch

import clip
import dropout
import edges
import normalize
import normalize_cases

FOLDER = Path(__file__).resolve().parent


def main() -> None:
    torch.set_num_threads(1)
    edges.check()
    forward, backward = normalize.suites(normalize_cases.rows())
    forward.write(FOLDER, "normalize")
    backward.write(FOLDER, "normalize_backward")
    forward, backward = dropout.suites()
    forward.write(FOLDER, "dropout")
    backward.write(FOLDER, "dropout_backward")
    clip.suite().write(FOLDER, "clip_gradients")


if __name__ == "__main__":
    main()
