"""Decoded images to network input: always image and intrinsics together, resized by Pillow's LANCZOS as published."""

from __future__ import annotations

import numpy as np
from PIL import Image

from mdtk.geometry.camera import resize_K

Box = tuple[float, float, float, float]  # left, upper, right, lower in pixels of the image


def resize(image: Image.Image, size: tuple[int, int], box: Box | None = None) -> np.ndarray:
    """uint8 (3, H, W) of the image, or of its `box`, resized to `size` = (width, height)."""
    if image.size != size or box is not None:
        image = image.resize(size, Image.Resampling.LANCZOS, box=box)
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def resize_with_K(images: list[Image.Image], K_33: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Frames uint8 (N, 3, H, W) at `size` and their K in pixels of that size. K belongs to the first image's size."""
    frames = np.stack([resize(image, size) for image in images])
    return frames, resize_K(K_33, images[0].size, size)


def magnified_crop(
    images: list[Image.Image], size: tuple[int, int], ratio: float, left: int, top: int
) -> tuple[np.ndarray, np.ndarray]:
    """A `size` crop, at (left, top), of every native image resized to int(size × ratio): frames and the exact box.

    Only the crop's part of the native image is resampled; that gives the same pixels as resizing all of it.
    Returns uint8 (N, 3, H, W) and float32 (magnification in x, in y, left, top); the integer size makes the two
    magnifications differ a little.
    """
    width, height = size
    large = int(width * ratio), int(height * ratio)
    crops = []
    for image in images:
        scale_x, scale_y = image.width / large[0], image.height / large[1]
        box = (left * scale_x, top * scale_y, (left + width) * scale_x, (top + height) * scale_y)
        crops.append(resize(image, size, box))
    return np.stack(crops), np.array([large[0] / width, large[1] / height, left, top], np.float32)
