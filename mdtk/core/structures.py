"""What crosses rooms: the views that networks see and losses compare, and what networks predict."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mdtk.geometry.camera import magnified_crop_K

FULL, CROP, PERMUTED = "full", "crop", "permuted"
Disparities = dict[int, Tensor]  # scale → sigmoid (B, 1, H / 2^s, W / 2^s)


@dataclass(frozen=True)
class View:
    """One view of the targets of a batch. S sources."""

    name: str
    input_b3hw: Tensor  # what the depth network sees (colour-jittered)
    target_b3hw: Tensor  # what the warped sources are compared with
    sources_bs3hw: Tensor
    K_b33: Tensor  # of target and sources
    depth_factor_b: Tensor | None = None  # depth = this × the depth of the network's output; None: 1
    split_b2: Tensor | None = None  # roll the disparity by this much (x, y) to undo the swap
    box_b4: Tensor | None = None  # as `camera.magnified_crop_K` takes it

    def K_of(self, K_b33: Tensor) -> Tensor:
        """This view's intrinsics where the whole image's are `K_b33`."""
        return K_b33 if self.box_b4 is None else magnified_crop_K(K_b33, self.box_b4)

    def restore(self, map_bchw: Tensor, scale: int = 0) -> Tensor:
        """A map of the network's input brought back to the loss's image; `scale`: the map is 1/2^scale as large."""
        if self.split_b2 is None:
            return map_bchw
        shift = torch.round(self.split_b2 / 2**scale).long()
        return roll(map_bchw, -shift)


def roll(image_bchw: Tensor, shift_b2: Tensor) -> Tensor:
    """Each item rolled by its own (x, y): out[v, u] = image[(v - y) mod H, (u - x) mod W]."""
    height, width = image_bchw.shape[-2:]
    rows = (torch.arange(height, device=image_bchw.device) - shift_b2[:, 1:]) % height
    columns = (torch.arange(width, device=image_bchw.device) - shift_b2[:, :1]) % width
    items = torch.arange(len(image_bchw), device=image_bchw.device)
    return image_bchw.permute(0, 2, 3, 1)[items[:, None, None], rows[:, :, None], columns[:, None, :]].permute(
        0, 3, 1, 2
    )


@dataclass(frozen=True)
class Prediction:
    """What the networks say about a batch (see `mdtk.models.system`)."""

    disparities: list[Disparities]  # one a view, in the view's own image
    source_T_target_bs44: Tensor
    masks: Disparities | None = None  # predictive masks: scale → (B, S, h, w)
    source_depths: list[Tensor] | None = None  # depth (B, 1, H, W) of each source, for geometry consistency
    K_b33: Tensor | None = None  # learned intrinsics, in place of the views'
