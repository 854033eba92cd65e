"""Warping a source image into the target view. Only this module sets `align_corners` for warping."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mdtk.geometry.camera import backproject


def project(points_b3hw: Tensor, K_b33: Tensor, source_T_target_b44: Tensor) -> tuple[Tensor, Tensor]:
    """Projects points of the target camera into the source image.

    Returns pixels (u, v) as (B, H, W, 2), and z (B, 1, H, W) in the source camera.
    """
    projection = K_b33 @ source_T_target_b44[:, :3]
    points = projection[:, :, :3] @ points_b3hw.flatten(2) + projection[:, :, 3:]
    points = torch.unflatten(points, 2, points_b3hw.shape[-2:])
    z = points[:, 2:]
    return (points[:, :2] / (z + 1e-7)).permute(0, 2, 3, 1), z


def in_view(pixels_bhw2: Tensor, height: int, width: int) -> Tensor:
    """Whether each pixel position lies between the corner pixels of an image: (B, 1, H, W) bool."""
    u, v = pixels_bhw2.unbind(-1)
    return ((u >= 0) & (u <= width - 1) & (v >= 0) & (v <= height - 1))[:, None]


def sampling_grid(pixels_bhw2: Tensor, height: int, width: int) -> Tensor:
    """Pixel positions as `grid_sample` takes them: -1 and 1 are the centres of the corner pixels."""
    u, v = pixels_bhw2.unbind(-1)  # divided by numbers: a tensor of sizes made on the host would wait for the device
    return torch.stack([u / (width - 1), v / (height - 1)], -1) * 2 - 1


def sample_pixels(image_bchw: Tensor, pixels_bhw2: Tensor, align_corners: bool = True) -> Tensor:
    """Bilinear samples (B, C, H, W) of an image at pixel positions; outside the image its border is repeated.

    `align_corners=False` reproduces Monodepth2 on torch >= 1.3, where positions are normalised with W-1 but sampled
    as if with W, which shifts samples by up to half a pixel towards the border of the image.
    """
    grid = sampling_grid(pixels_bhw2, *image_bchw.shape[-2:])
    if grid.device.type == "cpu":
        # torch's CPU kernel writes out of bounds for NaN. The samples are set to NaN, so that the loss shows it.
        missing = torch.isnan(grid).any(-1)
        grid = grid.masked_fill(missing[..., None], 0.0)
        image = F.grid_sample(image_bchw, grid, mode="bilinear", padding_mode="border", align_corners=align_corners)
        return image.masked_fill(missing[:, None], torch.nan)
    return F.grid_sample(image_bchw, grid, mode="bilinear", padding_mode="border", align_corners=align_corners)


def warp(
    source_b3hw: Tensor, depth_b1hw: Tensor, K_b33: Tensor, source_T_target_b44: Tensor, align_corners: bool = True
) -> Tensor:
    """The target image (B, 3, H, W) synthesised from the source image through the depth of the target."""
    pixels, _ = project(backproject(depth_b1hw, K_b33), K_b33, source_T_target_b44)
    return sample_pixels(source_b3hw, pixels, align_corners)


def magnified_crop_pixels(box_b4: Tensor, height: int, width: int) -> Tensor:
    """Where the pixels of a magnified crop lie in the whole image, (B, H, W, 2); see `camera.magnified_crop_K`."""
    ratio_x, ratio_y, left, top = (value[:, None] for value in box_b4.unbind(-1))
    u = (torch.arange(width, device=box_b4.device) + left + 0.5) / ratio_x - 0.5
    v = (torch.arange(height, device=box_b4.device) + top + 0.5) / ratio_y - 0.5
    return torch.stack([u[:, None, :].expand(-1, height, -1), v[:, :, None].expand(-1, -1, width)], -1)
