"""Reads one array of numbers from a Matlab file of version 5, by hand: general readers crash on damaged ones.

The format is Mathworks' "MAT-File Format", chapter 1: elements of a type, a length and data, compressed or not.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mdtk.core.errors import MdtkError
from mdtk.core.files import require_file
from mdtk.core.guard import check_size, reading

LARGEST = 16 << 20  # bytes of a file and of an unpacked element; a laser grid of Make3D has 0.5 MB
_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CLASSES = range(6, 16)  # of arrays of numbers: double, single, and the integers
_COMPLEX = 0x0800


def read_mat(path: Path, name: str, what: str, hint: str) -> np.ndarray | None:
    """The array of real numbers called `name` in a file, float64; None if the file has none of that name.

    Raises `MdtkError` for a missing or damaged file, another version and another kind of array; `what` the file should
    be and `hint` stand in every message.
    """
    require_file(path, what, hint)
    with reading(path, what, hint):
        check_size(path, what, LARGEST)
        data = path.read_bytes()
        if len(data) < _HEADER or data[124:128] not in (b"\x00\x01IM", b"\x01\x00MI"):
            raise MdtkError(f"{what} cannot be read: {path} is no Matlab file of version 5; {hint}")
        order = "<" if data[126:128] == b"IM" else ">"
        for kind, content in _elements(data[_HEADER:], order):
            if kind == _COMPRESSED:
                kind, content = next(_elements(_unpacked(content, path), order))
            if kind == _MATRIX and (found := _matrix(content, order, name, path)) is not None:
                return found
    return None


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Type and content of the elements that follow each other in `data`."""
    place = 0
    while place < len(data):
        kind, length = struct.unpack_from(f"{order}II", data, place)
        if kind >> 16:  # a short element: its length and content stand in the tag
            kind, length = kind & 0xFFFF, kind >> 16
            yield kind, data[place + 4 : place + 4 + min(length, 4)]
            place += 8
            continue
        content = data[place + 8 : place + 8 + length]
        if len(content) < length:
            raise ValueError(f"an element of {length} bytes ends after {len(content)}")
        yield kind, content
        place += 8 + length + (-length % 8 if kind != _COMPRESSED else 0)


def _unpacked(content: bytes, path: Path) -> bytes:
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(content, LARGEST)
    if unpacker.unconsumed_tail:
        raise MdtkError(f"{path}: refused, an element unpacks to more than {LARGEST} bytes; do not trust it")
    return data


def _matrix(content: bytes, order: str, name: str, path: Path) -> np.ndarray | None:
    """The values of a matrix element if it is called `name`."""
    parts = _elements(content, order)
    (flags,), sizes, called = (
        struct.unpack_from(f"{order}I", next(parts)[1]),
        np.frombuffer(next(parts)[1], f"{order}i4").tolist(),
        next(parts)[1],
    )
    if called.decode("latin1") != name:
        return None
    if flags & 0xFF not in _CLASSES or flags & _COMPLEX:
        raise MdtkError(f"{path}: {name} is no array of real numbers")
    kind, stored = next(parts)
    values = np.frombuffer(stored, order + _TYPES[kind])
    if any(side < 0 for side in sizes) or math.prod(sizes) != values.size:
        raise MdtkError(f"{path}: {name} claims the shape {tuple(sizes)} and holds {values.size} numbers")
    return values.reshape(sizes, order="F").astype(np.float64)
