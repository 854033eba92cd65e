"""Reads, resizes and crops image files, and reads grey PNGs that hold numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mdtk.core.errors import MdtkError
from mdtk.core.files import require_file
from mdtk.geometry.camera import magnified_size

Box = tuple[float, float, float, float]  # left, upper, right, lower in pixels of the image


def resize(image: Image.Image, size: tuple[int, int], box: Box | None = None) -> np.ndarray:
    """The RGB image, or its `box`, resized to `size` = (width, height) by LANCZOS as published: (3, H, W) uint8."""
    if image.size != size or box is not None:
        image = image.resize(size, Image.Resampling.LANCZOS, box=box)
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def resize_frames(images: list[Image.Image], size: tuple[int, int]) -> np.ndarray:
    """The images resized to `size` = (width, height): (N, 3, H, W) uint8."""
    return np.stack([resize(image, size) for image in images])


def magnified_crop(images: Sequence[Image.Image], size: tuple[int, int], box_4: np.ndarray) -> np.ndarray:
    """Frames uint8 (N, 3, H, W): the box (see `geometry.camera.magnified_box`) of every native image, magnified.

    Only the box's part of an image is resampled, which gives the same pixels as resizing all of it.
    """
    width, height = size
    large, (left, top) = magnified_size(size, box_4), box_4[2:].tolist()
    crops = []
    for image in images:
        scale_x, scale_y = image.width / large[0], image.height / large[1]
        box = (left * scale_x, top * scale_y, (left + width) * scale_x, (top + height) * scale_y)
        crops.append(resize(image, size, box))
    return np.stack(crops)


def read_grey_png(path: Path, what: str, hint: str, eight_bits: bool = False) -> np.ndarray:
    """The stored values, (H, W) float32, of a 16-bit grey PNG, or with `eight_bits` also of an 8-bit one.

    Raises `MdtkError` for a missing file (its message names `what` it is and gives `hint`), an unreadable one, and
    another kind of image.
    """
    require_file(path, what, hint)
    try:
        with Image.open(path) as image:
            stored, mode = np.asarray(image), image.mode
    except (OSError, SyntaxError, ValueError) as error:
        raise MdtkError(f"{what} cannot be read: {path} ({error}); extract or write it again") from error
    if not (mode.startswith("I") or (eight_bits and mode == "L")):
        bits = "an 8- or 16-bit" if eight_bits else "a 16-bit"
        raise MdtkError(f"{path}: is a {mode} image, but the {what} is {bits} grey PNG; give the original file")
    return stored.astype(np.float32)


def open_rgb(path: Path) -> Image.Image:
    """Decodes an image file to RGB. Raises `MdtkError` for a missing or corrupt file."""
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except FileNotFoundError as error:
        raise MdtkError(f"image not found: {path}; run tools/check_data.py to list every missing file") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise MdtkError(f"image cannot be read: {path} ({error}); fetch or extract it again") from error


def find_image(stem: Path, suffixes: Sequence[str] = (".png", ".jpg", ".jpeg")) -> Path:
    """The file `stem` with the first suffix that exists; if none does, with the first suffix, for messages to name."""
    for suffix in suffixes:
        path = stem.with_name(stem.name + suffix)
        if path.is_file():
            return path
    return stem.with_name(stem.name + suffixes[0])
