"""Views of the target: the whole image, a magnified crop, and the image with its parts swapped (BDEdepth).

A view says what the depth network sees, what the loss compares, the intrinsics of both, and how to bring the
predicted disparity back to the loss's image. All of it happens on the device, a batch at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mdtk.data.augment import Augmented
from mdtk.data.batch import Batch
from mdtk.geometry.camera import magnified_crop_K

FULL, CROP, PERMUTED = "full", "crop", "permuted"


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


def build_views(augmented: Augmented, batch: Batch) -> list[View]:
    """The whole-image view first, then those whose draws the batch carries."""
    clean = augmented.clean_bn3hw
    full = View(FULL, augmented.target_input_b3hw, clean[:, 0], clean[:, 1:], augmented.K_b33)
    views = [full]
    if augmented.crop_bn3hw is not None:
        crop = augmented.crop_bn3hw
        box = batch.crop_box_b4
        # The network sees the crop as if it were a whole image of its usual camera: everything looks `ratio` times
        # closer, so its depth is multiplied by the ratio (Yang et al., BDEdepth).
        K = magnified_crop_K(augmented.K_b33, box)
        views.append(View(CROP, augmented.crop_input_b3hw, crop[:, 0], crop[:, 1:], K, box[:, 0], box_b4=box))
    if batch.split_b2 is not None:
        # split = size - swapped part: rolling by it puts the first part last.
        permuted = roll(augmented.permute_input_b3hw, batch.split_b2)
        views.append(
            View(PERMUTED, permuted, full.target_b3hw, full.sources_bs3hw, full.K_b33, split_b2=batch.split_b2)
        )
    return views
