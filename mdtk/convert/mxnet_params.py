"""Reads MXNet's `.params` files, binary lists of arrays and their names, without MXNet."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from mdtk.core.errors import MdtkError
from mdtk.core.files import require_file
from mdtk.core.guard import reading

LIST_MAGIC = 0x112
DENSE_MAGICS = (0xF993FAC9, 0xF993FACA)  # version 2, and version 3 with numpy's meaning of shapes
DTYPES = {0: "<f4", 1: "<f8", 2: "<f2", 3: "u1", 4: "<i4", 5: "i1", 6: "<i8"}
MAX_DIMS = 32


class _Reader:
    """Reads values one after the other from a byte string; reading beyond its end raises `MdtkError`."""

    def __init__(self, data: bytes, path: Path) -> None:
        self.data, self.path, self.offset = data, path, 0

    def take(self, length: int) -> bytes:
        """The next `length` bytes."""
        if length < 0 or self.offset + length > len(self.data):
            raise MdtkError(f"{self.path}: ends early or is damaged at byte {self.offset}; fetch it again")
        self.offset += length
        return self.data[self.offset - length : self.offset]

    def value(self, code: str) -> int:
        """The next integer, of the type that `struct` calls `code`, little-endian."""
        return struct.unpack(f"<{code}", self.take(struct.calcsize(f"<{code}")))[0]


def read_params(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an MXNet NDArray list by name. Raises `MdtkError` for another file, or a damaged one.

    The layout is: u64 0x112, u64 0, u64 n, n arrays (magic, storage type, shape, device, type, raw), u64 n, n names.
    """
    require_file(path, "checkpoint", "give an existing file")
    with reading(path, "checkpoint", "fetch it again"):
        return _arrays(_Reader(path.read_bytes(), path), path)


def _arrays(reader: _Reader, path: Path) -> dict[str, np.ndarray]:
    if len(reader.data) < 8 or reader.value("Q") != LIST_MAGIC:
        raise MdtkError(f"{path}: refused, it is not an MXNet parameter file (its first bytes are not those of one)")
    reader.value("Q")
    arrays = [_read_array(reader) for _ in range(_count(reader))]
    names = [_read_name(reader) for _ in range(_count(reader))]
    if len(names) != len(arrays) or len(set(names)) != len(names):
        raise MdtkError(f"{path}: {len(arrays)} arrays and {len(set(names))} different names; fetch it again")
    if reader.offset != len(reader.data):
        raise MdtkError(f"{path}: {len(reader.data) - reader.offset} bytes after its end; fetch it again")
    return dict(zip(names, arrays, strict=True))


def _count(reader: _Reader) -> int:
    count = reader.value("Q")
    if count > len(reader.data):  # an entry takes more than a byte
        raise MdtkError(f"{reader.path}: claims {count} entries, more than it has bytes; fetch it again")
    return count


def _read_array(reader: _Reader) -> np.ndarray:
    magic = reader.value("I")
    if magic not in DENSE_MAGICS:
        raise MdtkError(f"{reader.path}: an array of unknown version {magic:#x}; save it with MXNet 1.x and Gluon")
    if storage := reader.value("i"):
        raise MdtkError(f"{reader.path}: a sparse array (storage type {storage}); only dense ones are read")
    dims = reader.value("i")
    if not 0 <= dims <= MAX_DIMS or (dims == 0 and magic == DENSE_MAGICS[0]):
        raise MdtkError(f"{reader.path}: an array with {dims} dimensions; fetch it again")
    shape = tuple(reader.value("q") for _ in range(dims))
    reader.take(8)  # device type and number
    code = reader.value("i")
    if code not in DTYPES:
        raise MdtkError(f"{reader.path}: an array of unknown type {code}")
    if any(side < 0 for side in shape):
        raise MdtkError(f"{reader.path}: an array of shape {shape}; fetch it again")
    dtype = np.dtype(DTYPES[code])
    length = dtype.itemsize
    for side in shape:
        length *= side
    return np.frombuffer(reader.take(length), dtype=dtype).reshape(shape)


def _read_name(reader: _Reader) -> str:
    try:
        return reader.take(reader.value("Q")).decode("ascii")
    except UnicodeDecodeError as error:
        raise MdtkError(f"{reader.path}: a name that is not text; fetch it again") from error
