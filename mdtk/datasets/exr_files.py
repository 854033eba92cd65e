"""Reads one channel of an OpenEXR file: scan lines, half or float, uncompressed or ZIP, as renderers write depth.

The format is that of openexr.com's "OpenEXR File Layout": a header of named attributes, a table of offsets, chunks of
lines. No well-kept library is among the dependencies, and OpenCV's wheels come without it.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

from mdtk.core.errors import MdtkError
from mdtk.core.guard import reading
from mdtk.datasets.image_files import MOST_PIXELS

MAGIC = 20000630
MOST_CHANNELS = 64
LINES = {0: 1, 2: 1, 3: 16}  # lines in a chunk by compression: none, ZIPS, ZIP
TYPES: dict[int, np.dtype] = {0: np.dtype("<u4"), 1: np.dtype("<f2"), 2: np.dtype("<f4")}
PREFERRED = ("Z", "depth.Z", "Depth.Z", "ViewLayer.Depth.Z", "V", "Y", "R")  # of several channels the first of these


def read_exr(path: Path) -> np.ndarray:
    """The depth or the only channel of an EXR file as (H, W) float32.

    Raises `MdtkError` for a file that is torn, tiled, or compressed by another scheme.
    """
    with reading(path, "OpenEXR file", "write it again, or as .npy"):
        return _decode(path.read_bytes(), path)


def _decode(content: bytes, path: Path) -> np.ndarray:
    magic, version = struct.unpack_from("<ii", content)
    if magic != MAGIC:
        raise ValueError("it does not begin like one")
    if version & 0x1A00:
        raise MdtkError(f"{path}: is a tiled, deep or multi-part OpenEXR; write scan lines, or a .npy")
    header, start = _header(content, 8)
    compression = header["compression"][0]
    if compression not in LINES:
        raise MdtkError(f"{path}: is compressed by scheme {compression}; write it with ZIP or none, or as .npy")
    left, top, right, bottom = struct.unpack("<4i", header["dataWindow"])
    width, height, count = right - left + 1, bottom - top + 1, LINES[compression]
    channels = _channels(header["channels"])
    if not (width > 0 and height > 0 and width * height <= MOST_PIXELS and len(channels) <= MOST_CHANNELS):
        raise ValueError(f"{width}x{height} pixels of {len(channels)} channels are none that are read")
    line = width * sum(kind.itemsize for _, kind in channels)
    names = [name for name, _ in channels]
    chosen = names[0] if len(names) == 1 else next((name for name in PREFERRED if name in names), names[0])
    before = sum(width * kind.itemsize for name, kind in channels[: names.index(chosen)])
    kind = dict(channels)[chosen]
    found = np.empty((height, width), np.float32)
    chunks = -(-height // count)
    for (place,) in struct.iter_unpack("<Q", content[start : start + 8 * chunks]):
        y, size = struct.unpack_from("<ii", content, place)
        first, lines = y - top, min(count, bottom + 1 - y)
        data = content[place + 8 : place + 8 + size]
        if size < line * lines:  # a chunk that compression would not shrink is stored as it is
            data = _unzip(data, line * lines)
        rows = np.frombuffer(data, np.uint8).reshape(lines, line)
        part = np.ascontiguousarray(rows[:, before : before + width * kind.itemsize])
        found[first : first + lines] = part.view(kind)
    return found


def _header(content: bytes, place: int) -> tuple[dict[str, bytes], int]:
    """The attributes by name, and where the table of offsets begins."""
    found = {}
    while content[place]:
        name, place = _text(content, place)
        _, place = _text(content, place)
        (size,) = struct.unpack_from("<I", content, place)
        found[name] = content[place + 4 : place + 4 + size]
        place += 4 + size
    return found, place + 1


def _text(content: bytes, place: int) -> tuple[str, int]:
    end = content.index(b"\0", place)
    return content[place:end].decode("latin-1"), end + 1


def _channels(value: bytes) -> list[tuple[str, np.dtype]]:
    found: list[tuple[str, np.dtype]] = []
    place = 0
    while value[place]:
        name, place = _text(value, place)
        found.append((name, TYPES[struct.unpack_from("<i", value, place)[0]]))
        place += 16
    return found


def _unzip(data: bytes, size: int) -> bytes:
    """Undoes deflate, to `size` bytes at most, the differences of neighbouring bytes, and the split into even and odd
    bytes."""
    split = np.frombuffer(zlib.decompressobj().decompress(data, size), np.uint8).astype(np.int64)
    split[1:] -= 128
    split = np.cumsum(split).astype(np.uint8)
    half = (split.size + 1) // 2
    joined = np.empty_like(split)
    joined[0::2], joined[1::2] = split[:half], split[half:]
    return joined.tobytes()
