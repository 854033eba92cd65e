"""Reads one map of numbers, depth or disparity, from a file of any of the forms that depth models write."""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Literal

import cv2
import numpy as np

from mdtk.core.arrays import Header, check_member, numbers_after, one_type, read_header
from mdtk.core.errors import MdtkError
from mdtk.core.files import require_file
from mdtk.core.guard import check_size, reading
from mdtk.datasets.exr_files import read_exr
from mdtk.datasets.image_files import MOST_PIXELS, read_grey_png

PNG_SCALE = 256.0  # of a 16-bit PNG, as KITTI's


def read_map(path: Path, what: str = "prediction", png_scale: float = PNG_SCALE) -> np.ndarray:
    """The map (H, W) in the file, by its suffix: .npy, .npz with one array, 16-bit .png (÷ `png_scale`), .tif,
    .tiff, .exr or .pfm.

    Raises `MdtkError` for a missing or unreadable file; `what` says in it what the file should hold.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise MdtkError(f"{path}: a {what} is a {', '.join(SUFFIXES)}; write it as one of these")
    require_file(path, what, "write it again")
    if suffix == ".png":
        return read_grey_png(path, what, "write it again") / png_scale
    return _READERS[suffix](path)


def load_array(path: Path, mmap_mode: Literal["r"] | None = None) -> np.ndarray:
    """The array of a `.npy` or the only array of a `.npz`; pickled ones, and shapes beyond the file, are refused."""
    with reading(path, "plain .npy array", "save it with numpy.save and one numeric type"):
        if path.suffix.lower() == ".npz":
            return _only_array(path)
        size = path.stat().st_size
        with path.open("rb") as file:
            header = _checked_header(path, file, size)
            if mmap_mode is None:
                return numbers_after(file, header, size, str(path))
            shape, fortran, dtype = header
            return np.memmap(path, dtype, mmap_mode, file.tell(), shape, "F" if fortran else "C")


def _only_array(path: Path) -> np.ndarray:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) != 1:
            raise MdtkError(f"{path}: holds {len(members)} arrays; save one with numpy.savez")
        check_member(members[0], str(path))
        with archive.open(members[0]) as file:
            header = _checked_header(path, file, members[0].file_size)
            return numbers_after(file, header, members[0].file_size, str(path))


def _checked_header(path: Path, file: IO[bytes], size: int) -> Header:
    """Raises `MdtkError` for an array of objects, and for one that would be larger than its `size` bytes."""
    header = shape, _, dtype = read_header(file)
    if dtype.kind not in "biuf":
        raise MdtkError(f"{path}: not a plain .npy array, it holds {one_type(dtype)}; save one numeric type")
    if math.prod(shape) * dtype.itemsize > size:
        raise MdtkError(f"{path}: not a plain .npy array, it ends before its shape {shape} is full; save it again")
    return header


def _read_tiff(path: Path) -> np.ndarray:
    with reading(path, "TIFF of one channel", "write it again, or as .npy"):
        check_size(path, "TIFF of one channel", 8 * MOST_PIXELS)
        stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if stored is None or stored.ndim != 2:
        shape = "it cannot be decoded" if stored is None else f"its shape is {stored.shape}"
        raise MdtkError(f"{path}: must be a TIFF of one channel, {shape}; write it again, or as .npy")
    return stored


def read_pfm(path: Path) -> np.ndarray:
    """The map (H, W) float32 of a grey portable float map; lines are stored from the bottom upwards."""
    with reading(path, "PFM", "write it again"):
        content = path.read_bytes()
        head = re.match(rb"Pf\s+(\d{1,9})\s+(\d{1,9})\s+([-+.\deE]{1,40})[ \t\r]*\n", content)
        if head is None:
            raise MdtkError(f"{path}: must be a grey PFM, that is 'Pf', its size and its scale first; write it again")
        width, height, scale = int(head[1]), int(head[2]), float(head[3])
    if len(content) - head.end() != 4 * width * height:
        raise MdtkError(f"{path}: does not hold the {width}x{height} values that it says; write it again")
    values = np.frombuffer(content[head.end() :], "<f4" if scale < 0 else ">f4")
    return values.reshape(height, width)[::-1].astype(np.float32)


_READERS: dict[str, Callable[[Path], np.ndarray]] = {
    ".npy": load_array,
    ".npz": load_array,
    ".tiff": _read_tiff,
    ".tif": _read_tiff,
    ".exr": read_exr,
    ".pfm": read_pfm,
}
SUFFIXES = (".npy", ".npz", ".png", ".tiff", ".tif", ".exr", ".pfm")
