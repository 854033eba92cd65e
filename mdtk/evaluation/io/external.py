"""Predictions that another program wrote: Monodepth2's `.npy`, or a folder with one file per image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from mdtk.core.errors import MdtkError
from mdtk.core.files import inside, is_file
from mdtk.datasets.map_files import SUFFIXES, load_array, read_map
from mdtk.datasets.reader import DatasetReader
from mdtk.datasets.splits import load_split
from mdtk.evaluation.scoring.alignment import KINDS
from mdtk.evaluation.scoring.protocols import Protocol


def canonical(name: str) -> str:
    """An entry's name with its numbers written plainly: lists of one benchmark differ in leading zeros."""
    return " ".join(str(int(part)) if part.isdecimal() else part for part in name.split())


def file_stem(name: str) -> str:
    """An entry's name as a file name: "2011_09_26/drive 0000000069 l" → "2011_09_26_drive_0000000069_l"."""
    return name.replace("/", "_").replace(" ", "_")


class External(Mapping):
    """Name → map (h, w) float32 of a kind in `alignment.KINDS`, as it stands in the file, read when asked for."""

    def __init__(self, places: Mapping[str, tuple[Path, int | None]], kind: str) -> None:
        """`places`: name → (file, row of a stacked `.npy` or None)."""
        self._places, self._kind = dict(places), kind
        self._stacks: dict[Path, np.ndarray] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        path, row = self._places[name]
        values = self._stack(path)[row] if row is not None else read_map(path)
        values = np.asarray(values, np.float32)
        values = values[0] if values.ndim == 3 and values.shape[0] == 1 else values
        affine = self._kind.startswith("affine")
        legal = np.isfinite(values).all() and (affine or (values > 0).all())
        if values.ndim != 2 or not legal:
            where = path if row is None else f"{path}, row {row}"
            raise MdtkError(
                f"{where}: must be a map of finite{'' if affine else ', positive'} {self._kind}, "
                f"height x width; its shape is {values.shape}"
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

    A folder holds `<protocol>.npy` or, for each entry, `<name>.<suffix>` (`/` and spaces as `_`) or `%010d.<suffix>` of
    its place in the list; suffixes are those of `map_files.SUFFIXES`. A `.npy` or
    `.npz` of all may also hold the protocol's wider list (697 Eigen rows for the 652 improved ones).
    """
    path = Path(path)
    if kind not in KINDS:
        raise MdtkError(f"predictions are {', '.join(list(KINDS)[:-1])} or {list(KINDS)[-1]}, not {kind}")
    if path.is_dir():
        stacked = [path / f"{file_stem(key)}.npy" for key in (protocol.key, protocol.name)]
        found = next((inside(path, file, "predictions") for file in stacked if is_file(file)), None)
        return External(_of_stack(found, protocol, reader) if found else _of_folder(path, protocol, reader), kind)
    if path.suffix not in (".npy", ".npz") or not is_file(path):
        what = "are no .npy or .npz file" if is_file(path) else "not found"
        raise MdtkError(f"predictions {what}: {path}; give a .npy or .npz file (N x height x width) or a folder")
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
        files = [folder / f"{stem}{suffix}" for stem in stems for suffix in SUFFIXES]
        found = next((file for file in files if is_file(file)), None)
        if found:
            places[name] = (inside(folder, found, "predictions"), None)
        else:
            missing.append(files[0])
    if missing:
        raise MdtkError(
            f"{folder}: {len(missing)} of {len(reader)} predictions for {protocol.key} are missing, the first is "
            f"{missing[0].name} (or {', '.join(SUFFIXES[1:])}, or its place in the list as %010d)"
        )
    return places


def _open_stack(path: Path) -> np.ndarray:
    stack = load_array(path, mmap_mode="r" if path.suffix == ".npy" else None)
    if stack.ndim == 4 and stack.shape[1] == 1:
        stack = stack[:, 0]
    if stack.ndim != 3:
        raise MdtkError(f"{path}: has shape {stack.shape}; predictions are N x height x width")
    return stack
