"""What a training step looked at, as one picture for TensorBoard."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchvision.utils import make_grid

from mdtk import viz

TITLES = ("target", "disparity", "warped sources", "automask")


def render(pictures: dict[str, Tensor], count: int) -> dict[str, np.ndarray]:
    """Title → picture (H, W, 3) uint8 RGB: a row for each of the first `count` samples of `Losses.pictures`."""
    disparity = [viz.colour_disparity(sigmoid[0].cpu().numpy()) for sigmoid in pictures["sigmoid"][:count]]
    coloured = torch.from_numpy(np.stack(disparity)).permute(0, 3, 1, 2)
    columns = [_bytes(pictures["target"][:count]), coloured]
    columns += [_bytes(source[:count]) for source in pictures["warped"].unbind(1)]
    if "automask" in pictures:
        columns.append(_bytes(pictures["automask"][:count, None].expand(-1, 3, -1, -1)))
    images = torch.stack(columns, 1).flatten(0, 1)
    grid = make_grid(images, nrow=len(columns), padding=2, pad_value=255)
    return {", ".join(TITLES[: 4 if "automask" in pictures else 3]): grid.permute(1, 2, 0).numpy()}


def _bytes(images_b3hw: Tensor) -> Tensor:
    return (images_b3hw.clamp(0, 1) * 255).round().byte().cpu()
