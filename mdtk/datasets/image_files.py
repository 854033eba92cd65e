"""Reads, resizes and crops image files, and reads grey PNGs that hold numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

from mdtk.core.errors import MdtkError
from mdtk.core.files import is_file, require_file
from mdtk.core.guard import reading
from mdtk.geometry.camera import magnified_size

# The raster formats that are read. PIL knows many more: EPS starts a program, AVIF and DDS fail in ways of their own.
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "PPM")
MOST_PIXELS = 178_956_970  # PIL's own limit: 179 megapixels, 0.5 GB of RGB
_TOO_LARGE = f"more than {MOST_PIXELS / 1e6:.0f} megapixels; shrink the picture"

Box = tuple[float, float, float, float]  # left, upper, right, lower in pixels of the image


def resize(image: Image.Image, size: tuple[int, int], box: Box | None = None) -> np.ndarray:
    """The RGB image, or its `box`, resized to `size` = (width, height) by LANCZOS as published: (3, H, W) uint8."""
    pixels = np.empty((3, size[1], size[0]), np.uint8)
    _resize_into(pixels, image, box)
    return pixels


def _resize_into(pixels_3hw: np.ndarray, image: Image.Image, box: Box | None = None) -> None:
    size = (pixels_3hw.shape[2], pixels_3hw.shape[1])
    if image.size != size or box is not None:
        image = image.resize(size, Image.Resampling.LANCZOS, box=box)
    cv2.split(np.asarray(image), list(pixels_3hw))  # writes there, faster than a transposed copy


def resize_frames(images: Sequence[Image.Image], size: tuple[int, int]) -> np.ndarray:
    """The images resized to `size` = (width, height): (N, 3, H, W) uint8."""
    frames = np.empty((len(images), 3, size[1], size[0]), np.uint8)
    for frame, image in zip(frames, images, strict=True):
        _resize_into(frame, image)
    return frames


def magnified_crop(images: Sequence[Image.Image], size: tuple[int, int], box_4: np.ndarray) -> np.ndarray:
    """Frames uint8 (N, 3, H, W): the box (see `geometry.camera.magnified_box`) of every native image, magnified.

    Only the box's part of an image is resampled, which gives the same pixels as resizing all of it.
    """
    width, height = size
    large, (left, top) = magnified_size(size, box_4), box_4[2:].tolist()
    crops = np.empty((len(images), 3, height, width), np.uint8)
    for crop, image in zip(crops, images, strict=True):
        scale_x, scale_y = image.width / large[0], image.height / large[1]
        box = (left * scale_x, top * scale_y, (left + width) * scale_x, (top + height) * scale_y)
        _resize_into(crop, image, box)
    return crops


@contextlib.contextmanager
def open_picture(path: Path, what: str, advice: str) -> Iterator[Image.Image]:
    """Opens a raster picture, not decoded yet, of one of `FORMATS` and at most `MOST_PIXELS`.

    Any failure in the block is an `MdtkError`, as `guard.reading` says; decode there and compute outside.
    """
    with reading(path, what, advice):
        try:
            with Image.open(path, formats=FORMATS) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise MdtkError(f"{path}: has {image.width}x{image.height} pixels, {_TOO_LARGE}")
                yield image
        except Image.DecompressionBombError as error:
            raise MdtkError(f"{path}: has {_TOO_LARGE}") from error


def read_grey_png(path: Path, what: str, hint: str, eight_bits: bool = False) -> np.ndarray:
    """The stored values, (H, W) float32, of a 16-bit grey PNG, or with `eight_bits` also of an 8-bit one.

    Raises `MdtkError` for a missing file (its message names `what` it is and gives `hint`), an unreadable one, and
    another kind of image.
    """
    require_file(path, what, hint)
    with open_picture(path, what, "extract or write it again") as image:
        stored, mode = np.asarray(image), image.mode
    if not (mode.startswith("I") or (eight_bits and mode == "L")):
        bits = "an 8- or 16-bit" if eight_bits else "a 16-bit"
        raise MdtkError(f"{path}: is a {mode} image, but the {what} is {bits} grey PNG; give the original file")
    return stored.astype(np.float32)


def open_rgb(path: Path) -> Image.Image:
    """Decodes an image file to RGB, upright as its EXIF orientation says; 16-bit grey keeps its upper 8 bits.

    Raises `MdtkError` for a missing or corrupt file, and one whose values are no colours (float, 32-bit).
    """
    if not is_file(path):
        raise MdtkError(f"image not found: {path}; run tools/check_data.py to list every missing file")
    with open_picture(path, "image", "fetch or extract it again") as image:
        image.load()
        return decode(upright(image), path).convert("RGB")


def upright(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF orientation says; what carries none is given back as it is."""
    if image.format == "PNG" and not any("exif" in str(key).lower() or "xmp" in str(key) for key in image.info):
        return image  # a PNG without metadata
    return ImageOps.exif_transpose(image)


def decode(image: Image.Image, path: Path) -> Image.Image:
    """A picture whose values PIL converts without clipping them; `path` is for messages.

    PIL reads 16-bit grey as white, and float as black or white, when it is asked for RGB.
    """
    sixteen = image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))
    if sixteen:
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    if image.mode in ("F", "I"):
        kind = "float" if image.mode == "F" else "32-bit"
        raise MdtkError(f"{path}: holds {kind} values, which are no colours; save it with 8 or 16 bits")
    return image


def find_image(stem: Path, suffixes: Sequence[str] = (".png", ".jpg", ".jpeg")) -> Path:
    """The file `stem` with the first suffix that exists; if none does, with the first suffix, for messages to name."""
    for suffix in suffixes:
        path = stem.with_name(stem.name + suffix)
        if is_file(path):
            return path
    return stem.with_name(stem.name + suffixes[0])
