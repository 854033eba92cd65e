"""Reads arrays in numpy's format, of files and of members of an archive, with bounds before anything is reserved."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from mdtk.core.errors import MdtkError
from mdtk.core.files import require_file
from mdtk.core.guard import reading

_RATIO = 200  # deflate reaches 1032 on a bomb; maps of few laser points 40
_FREE = 64 << 20  # bytes that a member may unpack to whatever its packed size
_LARGEST = 4 << 30  # bytes of an unpacked member; the published gt_depths.npz of KITTI has 1.3 GB
_HEADER = 10_000  # bytes of numpy's header, most of them spaces
_WORDS = 300  # of them that say something
Header = tuple[tuple[int, ...], bool, np.dtype[Any]]


def read_header(file: IO[bytes]) -> Header:
    """Shape, Fortran order and element type at the start of an array in numpy's format; numpy's own errors.

    numpy takes minutes for a few thousand characters that are no header, so it gets the words of a short one alone.
    """
    version = np.lib.format.read_magic(file)
    length = int.from_bytes(file.read(2 if version == (1, 0) else 4), "little")
    words = b" ".join(file.read(length).split()) if length <= _HEADER else b""
    if not 0 < len(words) <= _WORDS:
        raise ValueError(f"its header of {length} bytes is none of an array of numbers")
    return np.lib.format.read_array_header_1_0(io.BytesIO(len(words).to_bytes(2, "little") + words))


def read_numbers(file: IO[bytes], size: int, origin: str) -> np.ndarray:
    """The array of numbers in `file`, in numpy's format, which has `size` bytes.

    Raises `MdtkError` for objects and for a shape that needs more bytes than there are, and numpy's own errors.
    """
    return numbers_after(file, read_header(file), size, origin)


def numbers_after(file: IO[bytes], header: Header, size: int, origin: str) -> np.ndarray:
    """The array whose header was read from `file`; see `read_numbers`."""
    shape, fortran, dtype = header
    if dtype.kind not in "biuf":
        raise MdtkError(f"array cannot be read: {origin} holds {one_type(dtype)}, not numbers; save one numeric type")
    length = math.prod(shape) * dtype.itemsize
    if length > size:
        raise MdtkError(f"{origin}: claims an array of shape {shape} and has {size} bytes; fetch it again")
    values = np.frombuffer(bytearray(file.read(length)), dtype)  # of a bytearray, so that it may be written
    return values.reshape(shape, order="F" if fortran else "C")


def one_type(dtype: np.dtype[Any]) -> str:
    """The name of an element type, for messages."""
    return "object" if dtype.hasobject else str(dtype)


def read_npy_file(path: Path, what: str, hint: str) -> np.ndarray:
    """The array of numbers in a .npy file. `what` it is and `hint` stand in every message."""
    require_file(path, what, hint)
    with reading(path, what, hint), path.open("rb") as file:
        return read_numbers(file, path.stat().st_size, str(path))


def check_member(member: zipfile.ZipInfo, origin: str) -> None:
    """Raises `MdtkError` for a member of a zip archive that unpacks to far more than such files do."""
    if member.file_size > min(_LARGEST, _FREE + _RATIO * member.compress_size):
        raise MdtkError(
            f"{origin}: refused, {member.filename} unpacks {member.compress_size} bytes to {member.file_size}; "
            "do not trust it, or fetch it again"
        )
