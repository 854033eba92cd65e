"""The typed batch that crosses from the loader to the device, and the draws that travel with each sample."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Sample:
    """One training sample as a worker makes it. Frame 0 is the target, the sources follow in recipe order."""

    name: str
    frames_n3hw: np.ndarray  # uint8
    K_33: np.ndarray  # float32, pixels of the frames
    stereo_T_44: np.ndarray  # float32, other camera ← target, in depth units; identity without stereo
    depth_range_2: np.ndarray  # float32, depth of sigmoid 1 and 0
    flip: bool
    jitter_n5: np.ndarray  # float32 (1, or N + 2: frames, crop, permuted): on (0/1), three factors, hue shift in turns
    order_n4: np.ndarray  # int64, as many rows: the order of the four jitter operations
    crop_n3hw: np.ndarray | None = None  # uint8, the magnified crop of every frame
    crop_box_4: np.ndarray | None = None  # float32: magnification in x and y, left and top in magnified pixels
    split_2: np.ndarray | None = None  # int64: where the permuted target is cut again, x and y, in pixels


@dataclass(frozen=True)
class Batch:
    """A batch of samples. N frames: the target, then the sources. Images are uint8 until `augment`."""

    names: tuple[str, ...]
    frames_bn3hw: Tensor
    K_b33: Tensor
    stereo_T_b44: Tensor
    depth_range_b2: Tensor
    flip_b: Tensor
    jitter_bn5: Tensor
    order_bn4: Tensor  # stays on the CPU: the host groups the operations by it
    crop_bn3hw: Tensor | None = None
    crop_box_b4: Tensor | None = None
    split_b2: Tensor | None = None

    def __len__(self) -> int:
        return len(self.names)

    def _map(self, function: Callable[[Tensor], Tensor], skip: Sequence[str] = ()) -> Batch:
        changes = {
            field.name: function(value)
            for field in dataclasses.fields(self)
            if isinstance(value := getattr(self, field.name), Tensor) and field.name not in skip
        }
        return dataclasses.replace(self, **changes)

    def to(self, device: torch.device | str, non_blocking: bool = True) -> Batch:
        """The batch on `device`; uint8 images cross as they are."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking), skip=("order_bn4",))

    def pin_memory(self) -> Batch:
        """The batch in page-locked memory (called by the loader)."""
        return self._map(lambda tensor: tensor.pin_memory())

    def part(self, start: int, stop: int) -> Batch:
        """Samples `start` … `stop` - 1, for gradient accumulation."""
        return dataclasses.replace(self._map(lambda tensor: tensor[start:stop]), names=self.names[start:stop])


_BATCH_FIELDS = {
    "frames_n3hw": "frames_bn3hw",
    "K_33": "K_b33",
    "stereo_T_44": "stereo_T_b44",
    "depth_range_2": "depth_range_b2",
    "jitter_n5": "jitter_bn5",
    "order_n4": "order_bn4",
    "crop_n3hw": "crop_bn3hw",
    "crop_box_4": "crop_box_b4",
    "split_2": "split_b2",
}


def collate(samples: Sequence[Sample]) -> Batch:
    """Stacks samples, of equal sizes and with the same views, into a `Batch` on the CPU."""
    tensors = {
        batched: torch.from_numpy(np.stack([getattr(sample, single) for sample in samples]))
        for single, batched in _BATCH_FIELDS.items()
        if getattr(samples[0], single) is not None
    }
    flips = torch.tensor([sample.flip for sample in samples])
    return Batch(names=tuple(sample.name for sample in samples), flip_b=flips, **tensors)
