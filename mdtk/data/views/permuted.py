"""The target with its parts swapped (BDEdepth's split-permute)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from mdtk.core.structures import Parameters
from mdtk.data.views import VIEWS, ViewKind


@VIEWS.register("permuted")
@dataclass(frozen=True)
class Permuted(ViewKind):
    """The image is cut once in each direction and its parts change places; only the network sees it that way.

    ratio: minimum and maximum of where it is cut, uniform, as a fraction of width and of height.
    """

    ratio: tuple[float, float] = (0.1, 0.9)
    on_host: ClassVar[tuple[str, ...]] = ("split",)

    def draw(self, generator: np.random.Generator, size: tuple[int, int]) -> dict[str, np.ndarray]:
        swapped = (generator.uniform(*self.ratio, size=2) * size).astype(np.int64)
        return {"split": np.array(size) - swapped}  # rolling by it puts the first part last

    def arrange(self, input_bchw: Tensor, parameters: Parameters) -> Tensor:
        return roll(input_bchw, parameters["split"])

    def restore(self, map_bchw: Tensor, parameters: Parameters, scale: int) -> Tensor:
        return roll(map_bchw, -torch.round(parameters["split"] / 2**scale).long())


def roll(image_bchw: Tensor, shift_b2: Tensor) -> Tensor:
    """Each item rolled by its own (x, y), on the host: out[v, u] = image[(v - y) mod H, (u - x) mod W]."""
    shifts = shift_b2.tolist()
    return torch.stack([image.roll((y, x), (-2, -1)) for image, (x, y) in zip(image_bchw, shifts, strict=True)])
