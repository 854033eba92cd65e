#!/usr/bin/env python3
"""Which container a packed split should be: three random frames of 640x192 and their checksum, by container.

  python benchmarks/containers.py [--frames N] [--repeats N]

Every container holds the same uint8 frames (noise) and is read in random order as an item reads it: three frames into
one array (3, 3, H, W), each checked by CRC32. Containers whose library is not installed (`pip install lmdb zarr`) are
left out. Prints CPU and wall milliseconds an item; the files lie in the page cache, so the container is timed alone.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import os
import statistics
import tarfile
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from mdtk.core.errors import run_tool

SHAPE = (3, 192, 640)
Read = Callable[[int, np.ndarray], None]  # (number of a frame, where it goes)


def flat(folder: Path, frames: np.ndarray) -> Read:
    """One .npy, each frame read by its position straight to its place: what mdtk.datasets.packed does."""
    np.save(folder / "flat.npy", frames)
    file, size = os.open(folder / "flat.npy", os.O_RDONLY), frames[0].nbytes
    start = os.fstat(file).st_size - frames.nbytes
    return lambda number, out: os.preadv(file, [memoryview(out).cast("B")], start + number * size) and None


def memory_map(folder: Path, frames: np.ndarray) -> Read:
    np.save(folder / "map.npy", frames)
    mapped = np.load(folder / "map.npy", mmap_mode="r")
    return lambda number, out: np.copyto(out, mapped[number])


def hdf5(folder: Path, frames: np.ndarray) -> Read:
    with h5py.File(folder / "frames.h5", "w") as file:
        file.create_dataset("frames", data=frames, chunks=(1, *SHAPE))
    data = h5py.File(folder / "frames.h5")["frames"]
    return lambda number, out: data.read_direct(out, np.s_[number])


def tar(folder: Path, frames: np.ndarray) -> Read:
    """A tar of .npy members, as WebDataset writes it, with an index of positions (WebDataset itself has no order)."""
    with tarfile.open(folder / "frames.tar", "w") as archive:
        for number, frame in enumerate(frames):
            content = io.BytesIO()
            np.save(content, frame)
            member = tarfile.TarInfo(f"{number:06d}.npy")
            member.size = content.tell()
            content.seek(0)
            archive.addfile(member, content)
    archive = tarfile.open(folder / "frames.tar")  # noqa: SIM115  # open as long as it is read
    members = archive.getmembers()

    def read(number: int, out: np.ndarray) -> None:
        file = archive.extractfile(members[number])
        assert file is not None
        out[:] = np.load(io.BytesIO(file.read()))

    return read


def lmdb(folder: Path, frames: np.ndarray) -> Read:
    import lmdb as library

    base = library.open(str(folder / "lmdb"), map_size=4 * frames.nbytes, readahead=False)
    with base.begin(write=True) as transaction:
        for number, frame in enumerate(frames):
            transaction.put(f"{number:06d}".encode(), frame.tobytes())
    reading = base.begin(buffers=True)
    return lambda number, out: np.copyto(
        out, np.frombuffer(reading.get(f"{number:06d}".encode()), np.uint8).reshape(SHAPE)
    )


def zarr(folder: Path, frames: np.ndarray) -> Read:
    import zarr as library

    data = library.create_array(
        str(folder / "zarr"), shape=frames.shape, chunks=(1, *SHAPE), dtype="u1", compressors=None
    )
    data[:] = frames
    return lambda number, out: np.copyto(out, data[number])


CONTAINERS = (flat, memory_map, hdf5, tar, lmdb, zarr)


def item(read: Read, numbers: np.ndarray, checks: list[int]) -> None:
    frames = np.empty((len(numbers), *SHAPE), np.uint8)
    for number, out in zip(numbers.tolist(), frames, strict=True):
        read(number, out)
        assert zlib.crc32(out) == checks[number]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=200)
    args = parser.parse_args()
    generator = np.random.default_rng(0)
    frames = generator.integers(0, 256, (args.frames, *SHAPE), np.uint8)
    checks = [zlib.crc32(frame) for frame in frames]
    with tempfile.TemporaryDirectory() as folder:
        known = {
            one.__name__: one(Path(folder), frames)
            for one in CONTAINERS
            if one not in (lmdb, zarr) or importlib.util.find_spec(one.__name__)
        }
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in known}
        for _ in range(args.repeats):
            numbers = generator.integers(0, args.frames, 3)
            for name, read in known.items():
                start = time.process_time(), time.perf_counter()
                item(read, numbers, checks)
                times[name].append((time.process_time() - start[0], time.perf_counter() - start[1]))
    for name, found in times.items():
        cpu, wall = (1e3 * statistics.median(one[place] for one in found) for place in (0, 1))
        print(f"{name:11} CPU {cpu:6.2f} ms   wall {wall:6.2f} ms an item")


if __name__ == "__main__":
    raise SystemExit(run_tool(main))
