"""The frames of an entry at the network's size: as decoded from the source, or as a packed copy holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from mdtk.core.errors import MdtkError
from mdtk.datasets.image_files import resize_frames
from mdtk.datasets.reader import DatasetReader, Offset


@dataclass(frozen=True)
class EntryFrames:
    """Frames resized to the network's input, uint8 (N, 3, H, W), and the native images that they come from."""

    resized_n3hw: np.ndarray
    native_size: tuple[int, int]  # (width, height), of all frames alike
    images: Sequence[Image.Image]  # a packed copy without native pixels raises `MdtkError` when one is taken


def decode_frames(reader: DatasetReader, index: int, offsets: Sequence[Offset], size: tuple[int, int]) -> EntryFrames:
    """The entry's frames at `offsets`, decoded and resized to `size` = (width, height).

    Raises `MdtkError` for frames that cannot be read, and for frames of different sizes.
    """
    images = reader.images(index, offsets)
    if len({image.size for image in images}) > 1:
        sizes = ", ".join(
            f"{offset}: {image.width}x{image.height}" for offset, image in zip(offsets, images, strict=True)
        )
        raise MdtkError(
            f"{reader.name(index)}: the frames have different sizes ({sizes}); leave the entry out of the list, or "
            "bring the frames to one size"
        )
    return EntryFrames(resize_frames(images, size), images[0].size, images)
