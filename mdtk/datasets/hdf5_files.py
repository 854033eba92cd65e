"""Opens HDF5 files that may come from anybody: no link, external storage or virtual dataset is followed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from mdtk.core.errors import MdtkError
from mdtk.core.files import require_file
from mdtk.core.guard import reading

LARGEST = 64 << 20  # bytes of a chunk


@contextmanager
def open_hdf5(path: Path, hint: str, what: str = "HDF5 file") -> Iterator[h5py.File]:
    """Opens an HDF5 file; any failure in the block is an `MdtkError` that gives `hint`. Read there, compute outside."""
    require_file(path, what.split()[-1], hint)
    with reading(path, what, hint), h5py.File(path, "r", locking=False) as file:
        yield file


def stored_dataset(file: h5py.File, name: str, path: Path, kinds: str = "fiu") -> h5py.Dataset:
    """The dataset `name` that lies in the file itself; its element type is one of `kinds` (numpy's letters).

    Raises `MdtkError` for a missing one, and for what would read other files of this machine: soft and external links,
    external storage, virtual datasets.
    """
    link = file.get(name, getlink=True)
    if link is None:
        raise MdtkError(f"{path}: has no dataset {name}; give the right file")
    item = file[name] if isinstance(link, h5py.HardLink) else None
    if not isinstance(item, h5py.Dataset) or item.external or item.is_virtual or item.dtype.kind not in kinds:
        raise MdtkError(f"{path}: refused, {name} is not a plain array of numbers; do not trust it")
    if item.chunks and math.prod(item.chunks) * item.dtype.itemsize > LARGEST:
        raise MdtkError(f"{path}: refused, {name} is stored in pieces of more than {LARGEST} bytes; do not trust it")
    return item
