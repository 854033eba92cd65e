"""Writes the files of the sample world, atomically, and splits the work among processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mdtk.core.files import atomic_write, write_text


@dataclass(frozen=True)
class Task:
    """A piece of work for one process; `weight` is its number of frames, for the progress bar."""

    call: Callable[[], None]
    weight: int


def write_png(path: Path, image: np.ndarray) -> None:
    """Writes an image, (h, w, 3) uint8 RGB or (h, w) uint8 or uint16, as PNG."""
    bgr = image[..., ::-1] if image.ndim == 3 else image
    done, data = cv2.imencode(".png", np.ascontiguousarray(bgr), [cv2.IMWRITE_PNG_COMPRESSION, 4])
    if not done:
        raise RuntimeError(f"OpenCV could not encode {path}")
    write_bytes(path, data.tobytes())


def write_bytes(path: Path, data: bytes) -> None:
    """Writes `data` to a file."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Writes lines of text, each ended by a newline."""
    write_text(path, "".join(f"{line}\n" for line in lines))


def missing(*paths: Path) -> bool:
    """Whether any of the paths does not exist yet."""
    return not all(os.path.exists(path) for path in paths)


def chunks(count: int, size: int) -> list[range]:
    """The numbers 0 … count − 1 in ranges of at most `size`."""
    return [range(start, min(start + size, count)) for start in range(0, count, size)]
