"""CUDA tensors without a GPU: real shapes and devices, no values. Whatever would wait for the GPU is an error.

`FakeCuda` is entered around code that a GPU would run. Host tensors in it stay real (the host may look at what it made
itself); tensors on "cuda" are `FakeTensor`s. Reading one (`.item()`, `bool()`, `nonzero`, a boolean index) is refused
by torch's own fake mode; a copy to the host is refused here, as is an operation that mixes devices.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

COPIES = (torch.ops.aten._to_copy, torch.ops.aten.copy_, torch.ops.aten.copy)


class WaitsForTheDevice(AssertionError):
    """Values of a CUDA tensor were brought to the host."""


class FakeCuda(TorchDispatchMode):
    """A dispatch mode over one `FakeTensorMode` (`fake`), which makes the tensors on "cuda"."""

    def __init__(self) -> None:
        super().__init__()
        self.fake = FakeTensorMode(allow_fallback_kernels=False)

    def __enter__(self) -> FakeCuda:
        self.fake.__enter__()  # below this one: torch then starts no CUDA of its own
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self.fake.__exit__(*error)

    def to_cuda(self, tensor: Tensor) -> Tensor:
        """A fake CUDA tensor of this shape and type."""
        with self.fake:
            return self.fake.from_tensor(tensor).to("cuda")

    def move(self, module: nn.Module) -> nn.Module:
        """A module that was built on "meta", with fake CUDA parameters and buffers; nothing else of it is moved."""
        for part in module.modules():
            for held in (part._parameters, part._buffers):
                for name, tensor in held.items():
                    if tensor is not None:
                        held[name] = self._moved(tensor)
        return module

    def _moved(self, tensor: Tensor) -> Tensor:
        with self.fake:
            moved = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cuda")
            return nn.Parameter(moved, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else moved

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        device = torch.device(kwargs.get("device") or "cpu")
        if not any(isinstance(tensor, FakeTensor) for tensor in tensors) and device.type == "cpu":
            with unset_fake_temporarily():
                return function(*args, **kwargs)  # the host's own business
        args, kwargs = tree_map(self._faked, (args, kwargs))
        out = function(*args, **kwargs)
        if function.overloadpacket in COPIES and any(tensor.device.type == "cuda" for tensor in tensors):
            results = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
            if any(result.device.type == "cpu" for result in results):
                raise WaitsForTheDevice(f"{function}: a CUDA tensor is copied to the host")
        return out

    def _faked(self, leaf: Any) -> Any:
        real = isinstance(leaf, Tensor) and not isinstance(leaf, FakeTensor)
        return self.fake.from_tensor(leaf) if real else leaf
