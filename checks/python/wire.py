"""PyTorch tensors to wire tensors and back."""

import torch


class Wire:
    def __init__(self, pb):
        self.pb = pb
        self.data_types = {
            torch.float32: pb.DATA_TYPE_FLOAT32,
            torch.float64: pb.DATA_TYPE_FLOAT64,
            torch.float16: pb.DATA_TYPE_FLOAT16,
            torch.bfloat16: pb.DATA_TYPE_BFLOAT16,
        }
        self.dtypes = {number: dtype for dtype, number in self.data_types.items()}

    def encode(self, tensor: torch.Tensor | None, name: str = ""):
        """None stays None, which protobuf takes for an unset field. The machine must be little-endian."""
        if tensor is None:
            return None
        data = tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        return self.pb.Tensor(name=name, dtype=self.data_types[tensor.dtype], shape=tensor.shape, data=data)

    def decode(self, tensor) -> torch.Tensor:
        values = torch.frombuffer(bytearray(tensor.data), dtype=self.dtypes[tensor.dtype])
        return values.reshape(tuple(tensor.shape))
