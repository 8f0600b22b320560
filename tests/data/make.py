"""Makes the real tensors in this folder: images, hidden activations and gradients.

    pip install -r requirements.txt
    python make.py [FOLDER]

Everything is seeded and runs on one thread: two runs on one machine write the same bytes. Another CPU may sum in
another order and end training a few bits away; the committed files are the reference, this script is their origin.
Nothing is downloaded: the digits come inside scikit-learn, the text is this repository's own LICENSE.
"""

import json
import struct
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from sklearn.datasets import load_digits
from torch import nn

FOLDER = Path(__file__).resolve().parent
TEXT = FOLDER.parent.parent / "LICENSE"
IMAGES = 512
BATCH = 64
CONTEXT = 48
WIDTH = 64


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """The first images, (N, 1, 8, 8) with 0 for paper and 1 for full ink, and their labels."""
    data = load_digits()
    images = torch.tensor(data.images[:IMAGES] / 16.0, dtype=torch.float32).unsqueeze(1)
    return images, torch.tensor(data.target[:IMAGES])


def gradients(images: torch.Tensor, labels: torch.Tensor) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The gradients of one batch in a small convolutional network after eight epochs on the digits.

    The loss is summed over the batch, as in training with gradient accumulation: its norm is far above the usual
    clipping thresholds.
    """
    torch.manual_seed(1)
    network = nn.Sequential()
    network.add_module("conv1", nn.Conv2d(1, 8, 3, padding=1))
    network.add_module("relu1", nn.ReLU())
    network.add_module("conv2", nn.Conv2d(8, 16, 3, stride=2, padding=1))
    network.add_module("relu2", nn.ReLU())
    network.add_module("flatten", nn.Flatten())
    network.add_module("fc1", nn.Linear(16 * 4 * 4, 48))
    network.add_module("relu3", nn.ReLU())
    network.add_module("fc2", nn.Linear(48, 10))
    mean_loss = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    epochs = 8
    for _ in range(epochs):
        for batch in torch.randperm(IMAGES).split(BATCH):
            optimizer.zero_grad()
            mean_loss(network(images[batch]), labels[batch]).backward()
            optimizer.step()

    optimizer.zero_grad()
    batch = torch.randperm(IMAGES)[:BATCH]
    loss = nn.CrossEntropyLoss(reduction="sum")(network(images[batch]), labels[batch])
    loss.backward()
    accuracy = (network(images).argmax(1) == labels).float().mean().item()
    result = {name: parameter.grad.contiguous() for name, parameter in network.named_parameters()}
    norm = torch.linalg.vector_norm(torch.cat([gradient.double().flatten() for gradient in result.values()])).item()
    print(f"gradients: training accuracy {accuracy:.3f}, summed loss {loss.item():.4f}, norm {norm:.4f}")
    return result, {
        "model": "conv 3x3 8, conv 3x3/2 16, linear 48, linear 10, on 8x8 digits",
        "training": f"{epochs} epochs, SGD 0.1 momentum 0.9, batches of {BATCH}, seed 1",
        "loss": f"cross-entropy summed over one batch of {BATCH}",
    }


class CharacterModel(nn.Module):
    """A causal transformer with two layers over single characters."""

    def __init__(self, vocabulary: int):
        super().__init__()
        self.characters = nn.Embedding(vocabulary, WIDTH)
        self.positions = nn.Embedding(CONTEXT, WIDTH)
        layer = nn.TransformerEncoderLayer(
            WIDTH, nhead=4, dim_feedforward=4 * WIDTH, dropout=0.0, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, num_layers=2, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, vocabulary)

    def hidden(self, text: torch.Tensor) -> torch.Tensor:
        """The residual stream in front of the last normalization: (N, L) characters to (N, L, D)."""
        length = text.shape[1]
        embedded = self.characters(text) + self.positions(torch.arange(length))
        return self.layers(embedded, mask=nn.Transformer.generate_square_subsequent_mask(length), is_causal=True)

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.hidden(text)))


def activations() -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Hidden activations of the character model, trained on the licence's text, and the LayerNorm that follows them."""
    torch.manual_seed(2)
    characters = TEXT.read_text()
    vocabulary = sorted(set(characters))
    text = torch.tensor([vocabulary.index(character) for character in characters])
    windows = text.unfold(0, CONTEXT + 1, 1)
    model = CharacterModel(len(vocabulary))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    steps = 400
    for _ in range(steps):
        batch = windows[torch.randint(len(windows), (16,))]
        loss = nn.functional.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        hidden = model.hidden(windows[:: len(windows) // 15][:16, :-1])
    print(f"activations: loss {loss.item():.3f} nats per character, mean {hidden.mean():.3f}, std {hidden.std():.3f}")
    tensors = {"hidden": hidden, "weight": model.norm.weight.detach(), "bias": model.norm.bias.detach()}
    return tensors, {
        "model": f"causal transformer over characters, 2 layers, width {WIDTH}; input of the last LayerNorm",
        "training": f"{steps} steps, AdamW 3e-3, batches of 16 windows of {CONTEXT} characters, seed 2",
        "text": "the LICENSE file of this repository",
    }


def save_file(tensors: dict[str, torch.Tensor], path: Path, metadata: dict[str, str]) -> None:
    """As safetensors.torch.save_file, with the metadata sorted: the library writes it in another order every time."""
    file = save(tensors, metadata)
    (length,) = struct.unpack_from("<Q", file)
    header = json.loads(file[8 : 8 + length])
    header = {"__metadata__": dict(sorted(metadata.items())), **{k: v for k, v in header.items() if k in tensors}}
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + file[8 + length :])


def main() -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)

    images, labels = digits()
    np.save(folder / "digits.npy", images.numpy())

    tensors, metadata = gradients(images, labels)
    save_file(tensors, folder / "gradients.safetensors", metadata)

    tensors, metadata = activations()
    hidden = tensors.pop("hidden")
    np.save(folder / "activations.npy", hidden.numpy())
    halves = {"hidden.float16": hidden.half(), "hidden.bfloat16": hidden.bfloat16()}
    save_file(halves, folder / "activations_half.safetensors", metadata)
    save_file(tensors, folder / "activations_norm.safetensors", metadata)


if __name__ == "__main__":
    main()
