"""Maps of numbers in every form that depth models write; those that are torn or of another kind are one sentence."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from mdtk.core.errors import MdtkError
from mdtk.datasets.map_files import read_map

MAP = np.random.default_rng(2).uniform(0.5, 60, (37, 23)).astype(np.float32)


def exr_bytes(channels, compression):
    """An OpenEXR file written after the published layout: name → (H, W) array of float16 or float32."""
    names = sorted(channels)
    height, width = channels[names[0]].shape
    kinds = {np.dtype("f2"): 1, np.dtype("f4"): 2}
    listed = b"".join(
        name.encode() + b"\0" + struct.pack("<iB3xii", kinds[channels[name].dtype], 0, 1, 1) for name in names
    )
    box = struct.pack("<4i", 0, 0, width - 1, height - 1)
    attributes = {
        "channels": ("chlist", listed + b"\0"),
        "compression": ("compression", bytes([compression])),
        "dataWindow": ("box2i", box),
        "displayWindow": ("box2i", box),
        "lineOrder": ("lineOrder", b"\0"),
    }
    head = struct.pack("<ii", 20000630, 2)
    for name, (kind, value) in attributes.items():
        head += name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(value)) + value
    head += b"\0"
    lines = {0: 1, 2: 1, 3: 16}[compression]
    chunks = []
    for top in range(0, height, lines):
        rows = range(top, min(top + lines, height))
        data = b"".join(channels[name][row].tobytes() for row in rows for name in names)
        if compression:
            split = np.frombuffer(data, np.uint8)
            split = np.concatenate([split[0::2], split[1::2]])
            steps = np.concatenate([split[:1], np.diff(split.astype(int)) + 128 & 255]).astype(np.uint8)
            packed = zlib.compress(steps.tobytes())
            data = packed if len(packed) < len(data) else data
        chunks.append(struct.pack("<ii", top, len(data)) + data)
    place, table = len(head) + 8 * len(chunks), b""
    for chunk in chunks:
        table += struct.pack("<Q", place)
        place += len(chunk)
    return head + table + b"".join(chunks)


def write(folder, suffix):
    path = folder / f"map{suffix}"
    if suffix == ".npy":
        np.save(path, MAP)
    elif suffix == ".npz":
        np.savez_compressed(path, MAP)
    elif suffix == ".png":
        Image.fromarray(np.round(MAP * 256).astype(np.uint16)).save(path)
    elif suffix == ".exr":
        path.write_bytes(exr_bytes({"Z": MAP}, 3))
    else:
        assert cv2.imwrite(str(path), MAP)
    return path


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".png", ".tiff", ".tif", ".exr", ".pfm"])
def test_every_form(tmp_path, suffix):
    np.testing.assert_allclose(read_map(write(tmp_path, suffix)), MAP, atol=0.5 / 256 if suffix == ".png" else 0)


@pytest.mark.parametrize("compression", [0, 2, 3])
@pytest.mark.parametrize("smooth", [True, False])
def test_exr_of_several_channels(tmp_path, compression, smooth):
    depth = np.tile(np.arange(23, dtype=np.float32), (37, 1)) if smooth else MAP
    colour = np.full(MAP.shape, 0.5, np.float16)
    (tmp_path / "a.exr").write_bytes(exr_bytes({"B": colour, "Z": depth, "R": colour}, compression))
    np.testing.assert_array_equal(read_map(tmp_path / "a.exr"), depth)


def test_bad_files(tmp_path):
    with pytest.raises(MdtkError, match=r"map\.gif: a prediction is a \.npy, \.npz, "):
        read_map(tmp_path / "map.gif")
    with pytest.raises(MdtkError, match="prediction not found"):
        read_map(tmp_path / "map.exr")
    for suffix in (".npy", ".npz", ".png", ".tiff", ".exr", ".pfm"):
        path = write(tmp_path, suffix)
        path.write_bytes(path.read_bytes()[:150])
        with pytest.raises(MdtkError, match="map"):
            read_map(path)
        path.write_bytes(b"nothing of this kind")
        with pytest.raises(MdtkError, match="map"):
            read_map(path)
    piz = exr_bytes({"Z": MAP}, 0).replace(b"\0compression\0\1\0\0\0\0", b"\0compression\0\1\0\0\0\4")
    (tmp_path / "piz.exr").write_bytes(piz)
    with pytest.raises(MdtkError, match="compressed by scheme 4; write it with ZIP or none"):
        read_map(tmp_path / "piz.exr")
    np.savez(tmp_path / "two.npz", MAP, MAP)
    with pytest.raises(MdtkError, match="holds 2 arrays"):
        read_map(tmp_path / "two.npz")
