"""Predictions that another program wrote: Monodepth2's `.npy`, or a folder with one `.npy` or 16-bit PNG per image."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from mdtk.core.arrays import one_type, read_header
from mdtk.core.errors import MdtkError
from mdtk.core.files import inside, is_file
from mdtk.core.guard import reading
from mdtk.datasets.image_files import read_grey_png
from mdtk.datasets.reader import DatasetReader
from mdtk.datasets.splits import load_split
from mdtk.evaluation.scoring.protocols import Protocol

KINDS = ("disparity", "depth")
PNG_SCALE = 256.0  # of a 16-bit PNG, as KITTI's


def canonical(name: str) -> str:
    """An entry's name with its numbers written plainly: lists of one benchmark differ in leading zeros."""
    return " ".join(str(int(part)) if part.isdecimal() else part for part in name.split())


def file_stem(name: str) -> str:
    """An entry's name as a file name: "2011_09_26/drive 0000000069 l" → "2011_09_26_drive_0000000069_l"."""
    return name.replace("/", "_").replace(" ", "_")


class External(Mapping):
    """Name → map (h, w) float32 of `kind` disparity or depth, as it stands in the file, read when asked for."""

    def __init__(self, places: Mapping[str, tuple[Path, int | None]], kind: str) -> None:
        """`places`: name → (file, row of a stacked `.npy` or None)."""
        self._places, self._kind = dict(places), kind
        self._stacks: dict[Path, np.ndarray] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        path, row = self._places[name]
        values = self._stack(path)[row] if row is not None else _read_map(path)
        values = np.asarray(values, np.float32)
        values = values[0] if values.ndim == 3 and values.shape[0] == 1 else values
        if values.ndim != 2 or not (np.isfinite(values).all() and (values > 0).all()):
            where = path if row is None else f"{path}, row {row}"
            raise MdtkError(
                f"{where}: must be a map of finite, positive {self._kind}, height x width; its shape is {values.shape}"
                + (f" and its minimum is {np.nanmin(values):g}" if values.size else "")
            )
        return values

    def _stack(self, path: Path) -> np.ndarray:
        if path not in self._stacks:
            self._stacks[path] = _open_stack(path)
        return self._stacks[path]

    def __contains__(self, name: object) -> bool:
        return name in self._places  # without reading the file

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def load_external(path: str | Path, kind: str, protocol: Protocol, reader: DatasetReader) -> External:
    """Predictions for every entry of `reader`, from a `.npy` (N, H, W) in list order or a folder. See `External`.

    A folder holds `<protocol>.npy` or, for each entry, `<name>.npy|.png` (`/` and spaces as `_`) or `%010d.npy|.png` of
    its place in the list. A `.npy` may also hold the protocol's wider list (697 Eigen rows for the 652 improved ones).
    """
    path = Path(path)
    if kind not in KINDS:
        raise MdtkError(f"predictions are {' or '.join(KINDS)}, not {kind}")
    if path.is_dir():
        stacked = [path / f"{file_stem(key)}.npy" for key in (protocol.key, protocol.name)]
        found = next((inside(path, file, "predictions") for file in stacked if is_file(file)), None)
        return External(_of_stack(found, protocol, reader) if found else _of_folder(path, protocol, reader), kind)
    if path.suffix != ".npy" or not is_file(path):
        what = "are no .npy file" if is_file(path) else "not found"
        raise MdtkError(f"predictions {what}: {path}; give a .npy file (N x height x width) or a folder")
    return External(_of_stack(path, protocol, reader), kind)


def _of_stack(path: Path, protocol: Protocol, reader: DatasetReader) -> dict[str, tuple[Path, int]]:
    count, lists = len(_open_stack(path)), {protocol.split: [reader.name(i) for i in range(len(reader))]}
    if protocol.wider_split:
        lists[protocol.wider_split] = list(load_split(protocol.wider_split, reader.root).lines)
    for names in lists.values():
        if len(names) == count:
            return _join(path, names, protocol, reader)
    known = " or ".join(f"{len(names)} ({name})" for name, names in lists.items())
    raise MdtkError(f"{path}: holds {count} predictions; {protocol.key} takes {known}, in the order of the list")


def _join(path: Path, names: Sequence[str], protocol: Protocol, reader: DatasetReader) -> dict[str, tuple[Path, int]]:
    rows = {canonical(name): row for row, name in enumerate(names)}
    places = {}
    for index in range(len(reader)):
        name = reader.name(index)
        if canonical(name) not in rows:
            raise MdtkError(f"{path}: {name} of {protocol.split} is not in the list {protocol.wider_split}")
        places[name] = (path, rows[canonical(name)])
    return places


def _of_folder(folder: Path, protocol: Protocol, reader: DatasetReader) -> dict[str, tuple[Path, None]]:
    places, missing = {}, []
    for index in range(len(reader)):
        name = reader.name(index)
        stems = (file_stem(name), f"{index:010d}")
        files = [folder / f"{stem}{suffix}" for stem in stems for suffix in (".npy", ".png")]
        found = next((file for file in files if is_file(file)), None)
        if found:
            places[name] = (inside(folder, found, "predictions"), None)
        else:
            missing.append(files[0])
    if missing:
        raise MdtkError(
            f"{folder}: {len(missing)} of {len(reader)} predictions for {protocol.key} are missing, the first is "
            f"{missing[0].name} (or .png, or its place in the list as %010d)"
        )
    return places


def _open_stack(path: Path) -> np.ndarray:
    stack = _load(path, mmap_mode="r")
    if stack.ndim == 4 and stack.shape[1] == 1:
        stack = stack[:, 0]
    if stack.ndim != 3:
        raise MdtkError(f"{path}: has shape {stack.shape}; predictions are N x height x width")
    return stack


def _load(path: Path, mmap_mode: Literal["r"] | None = None) -> np.ndarray:
    with reading(path, "plain .npy array", "save it with numpy.save and one numeric type"):
        with path.open("rb") as file:
            shape, _, dtype = read_header(file)
        if dtype.kind not in "biuf":
            raise MdtkError(f"{path}: not a plain .npy array, it holds {one_type(dtype)}; save one numeric type")
        length = math.prod(shape) * dtype.itemsize
        if length > path.stat().st_size:
            raise MdtkError(f"{path}: not a plain .npy array, it ends before its shape {shape} is full; save it again")
        return np.load(path, mmap_mode=mmap_mode, allow_pickle=False)


def _read_map(path: Path) -> np.ndarray:
    if path.suffix == ".npy":
        return _load(path)
    return read_grey_png(path, "prediction", "write it again") / PNG_SCALE
