"""Pinhole intrinsics and what happens to them when their image is resized, cropped or flipped.

The pixel convention lives here: pixel centres are integers 0 … W-1, so an image spans -0.5 … W-0.5.
`resize_K`, `scale_K` and `flip_K` take a numpy array or a torch tensor (..., 3, 3) and return a new one of its kind.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

Array = TypeVar("Array", np.ndarray, Tensor)


def intrinsics(fx: float, fy: float, cx: float, cy: float) -> np.ndarray:
    """The matrix K (3, 3) float64 of focal lengths and principal point in pixels."""
    return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])


def fraction_intrinsics(fx: float, fy: float, cx: float, cy: float, size: tuple[int, int]) -> np.ndarray:
    """K (3, 3) float64 in pixels of an image of `size` = (width, height).

    `fx` and `cx` are fractions of the width, `fy` and `cy` of the height: the nominal form of published recipes.
    """
    width, height = size
    return intrinsics(fx * width, fy * height, cx * width, cy * height)


def _copy(K: Array) -> Array:
    return np.array(K) if isinstance(K, np.ndarray) else K.clone()


def resize_K(K: Array, size: tuple[float, float], new_size: tuple[float, float]) -> Array:
    """K of the image after resizing from `size` to `new_size` (width, height): u' = (u + 0.5) s - 0.5."""
    K = _copy(K)
    for row, (old, new) in enumerate(zip(size, new_size, strict=True)):
        scale = new / old
        K[..., row, 0] *= scale
        K[..., row, 1] *= scale
        K[..., row, 2] = (K[..., row, 2] + 0.5) * scale - 0.5
    return K


def scale_K(K: Array, factor: float) -> Array:
    """K with its first two rows times `factor`: the published rule for pyramids, half a pixel off `resize_K`."""
    K = _copy(K)
    K[..., :2, :] *= factor
    return K


def flip_K(K: Array, width: int) -> Array:
    """K of the horizontally flipped image of `width` pixels: cx' = W - 1 - cx."""
    K = _copy(K)
    K[..., 0, 2] = width - 1 - K[..., 0, 2]
    return K


def magnified_box(size: tuple[int, int], ratio: float, x: float, y: float) -> np.ndarray:
    """A crop of `size` = (width, height) out of the image magnified to int(size × ratio): the exact box (4,) float32.

    x, y: its corner as fractions of what is left over. The box is the magnification in x and in y (the integer size
    makes them differ a little), left and top in magnified pixels.
    """
    width, height = size
    large = int(width * ratio), int(height * ratio)
    corner = int((large[0] - width) * x), int((large[1] - height) * y)
    return np.array([large[0] / width, large[1] / height, *corner], np.float32)


def magnified_size(size: tuple[int, int], box_4: np.ndarray) -> tuple[int, int]:
    """(width, height) of the magnified image that `box_4` of `magnified_box` is cut from."""
    return round(float(box_4[0]) * size[0]), round(float(box_4[1]) * size[1])


def flip_box(box_4: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Where the box of `magnified_box` lies in the horizontally flipped image."""
    box: np.ndarray = box_4.copy()
    box[2] = magnified_size(size, box_4)[0] - size[0] - box_4[2]
    return box


def magnified_crop_K(K_b33: Tensor, box_b4: Tensor) -> Tensor:
    """K (B, 3, 3) of a crop of the magnified image, exact for any principal point; each item has its own crop.

    Args:
        K_b33: intrinsics of the whole image.
        box_b4: magnification in x and in y, and the left and top edge of the crop in magnified pixels.
    """
    K = K_b33.clone()
    ratio, corner = box_b4[:, :2], box_b4[:, 2:]
    K[:, :2, :2] *= ratio[:, :, None]
    K[:, :2, 2] = (K_b33[:, :2, 2] + 0.5) * ratio - 0.5 - corner
    return K


def inverse_K(K_b33: Tensor) -> Tensor:
    """The inverse (B, 3, 3) of pinhole intrinsics without skew, in closed form: a solver would wait for the device."""
    fx, fy, cx, cy = K_b33[..., 0, 0], K_b33[..., 1, 1], K_b33[..., 0, 2], K_b33[..., 1, 2]
    zero, one = torch.zeros_like(fx), torch.ones_like(fx)
    rows = [1 / fx, zero, -cx / fx, zero, 1 / fy, -cy / fy, zero, zero, one]
    return torch.unflatten(torch.stack(rows, -1), -1, (3, 3))


def pixel_rays(matrix_b33: Tensor, height: int, width: int) -> Tensor:
    """`matrix_b33` times (u, v, 1) for every pixel, (B, 3, H, W). With K⁻¹ these are the viewing rays at depth 1."""
    u = torch.arange(width, device=matrix_b33.device, dtype=matrix_b33.dtype)
    v = torch.arange(height, device=matrix_b33.device, dtype=matrix_b33.dtype)
    column = matrix_b33[:, :, 0, None] * u + matrix_b33[:, :, 2, None]  # B 3 W
    row = matrix_b33[:, :, 1, None] * v  # B 3 H
    return column[:, :, None, :] + row[:, :, :, None]


def backproject(depth_b1hw: Tensor, K_b33: Tensor) -> Tensor:
    """The 3D point of every pixel, (B, 3, H, W) in the camera frame and the unit of depth; depth is z."""
    return depth_b1hw * pixel_rays(inverse_K(K_b33), *depth_b1hw.shape[-2:])
