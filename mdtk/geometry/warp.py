"""Warping a source image into the target view. The only place that sets `align_corners` for warping."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mdtk.geometry.camera import backproject


def project(points_b3hw: Tensor, K_b33: Tensor, source_T_target_b44: Tensor) -> tuple[Tensor, Tensor]:
    """Where points of the target camera land in the source image.

    Returns pixels (B, H, W, 2) as (u, v), and z (B, 1, H, W) in the source camera.
    """
    projection = K_b33 @ source_T_target_b44[:, :3]
    points = projection[:, :, :3] @ points_b3hw.flatten(2) + projection[:, :, 3:]
    points = points.unflatten(2, points_b3hw.shape[-2:])
    z = points[:, 2:]
    return (points[:, :2] / (z + 1e-7)).permute(0, 2, 3, 1), z


def in_view(pixels_bhw2: Tensor, height: int, width: int) -> Tensor:
    """Which pixel positions lie within an image: (B, 1, H, W) bool."""
    u, v = pixels_bhw2.unbind(-1)
    return ((u >= 0) & (u <= width - 1) & (v >= 0) & (v <= height - 1))[:, None]


def sampling_grid(pixels_bhw2: Tensor, height: int, width: int) -> Tensor:
    """Pixels to the -1 … 1 of `grid_sample`, corners at the centres of the corner pixels."""
    u, v = pixels_bhw2.unbind(-1)  # numbers, not a tensor made on the host: that would wait for the device
    return torch.stack([u / (width - 1), v / (height - 1)], -1) * 2 - 1


def sample_pixels(image_bchw: Tensor, pixels_bhw2: Tensor, align_corners: bool = True) -> Tensor:
    """Bilinear samples of an image at pixel positions, the border repeated outside.

    `align_corners=False` reproduces Monodepth2 on torch >= 1.3: positions normalised with W-1 but sampled as if
    with W, which shifts samples by up to half a pixel towards the image's border.
    """
    grid = sampling_grid(pixels_bhw2, *image_bchw.shape[-2:])
    if grid.device.type == "cpu":
        # torch's CPU kernel writes out of bounds for NaN. The samples stay NaN, so that the loss shows it.
        missing = torch.isnan(grid).any(-1)
        grid = grid.masked_fill(missing[..., None], 0.0)
        image = F.grid_sample(image_bchw, grid, mode="bilinear", padding_mode="border", align_corners=align_corners)
        return image.masked_fill(missing[:, None], torch.nan)
    return F.grid_sample(image_bchw, grid, mode="bilinear", padding_mode="border", align_corners=align_corners)


def warp(
    source_b3hw: Tensor, depth_b1hw: Tensor, K_b33: Tensor, source_T_target_b44: Tensor, align_corners: bool = True
) -> Tensor:
    """The source image seen from the target camera through the target's depth: (B, 3, H, W)."""
    pixels, _ = project(backproject(depth_b1hw, K_b33), K_b33, source_T_target_b44)
    return sample_pixels(source_b3hw, pixels, align_corners)


def magnified_crop_pixels(box_b4: Tensor, height: int, width: int) -> Tensor:
    """Where the pixels of a magnified crop (see `camera.magnified_crop_K`) lie in the whole image: (B, H, W, 2)."""
    ratio_x, ratio_y, left, top = (value[:, None] for value in box_b4.unbind(-1))
    u = (torch.arange(width, device=box_b4.device) + left + 0.5) / ratio_x - 0.5
    v = (torch.arange(height, device=box_b4.device) + top + 0.5) / ratio_y - 0.5
    return torch.stack(torch.broadcast_tensors(u[:, None, :], v[:, :, None]), -1)
