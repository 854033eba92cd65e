"""Files of ground-truth depth: this project's own form and the published forms, all read without running code.

Own form: an .npz with one float32 array (H, W) per image, under the name of the image, in the order of the list.
Published forms: `gt_depths.npz` (one object array "data" of ragged maps) and Cityscapes' folder of %03d_depth.npy.
"""

from __future__ import annotations

import itertools
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from joblib import Parallel, delayed

from mdtk.core.arrays import check_member, numbers_after, read_header, read_npy_file, read_numbers
from mdtk.core.errors import MdtkError
from mdtk.core.files import atomic_write, require_file
from mdtk.core.guard import reading
from mdtk.core.pickles import load_array_of_arrays

Progress = Callable[[Iterable[int]], Iterable[int]]
_HINT = "make it with tools/export_gt_depth.py"


class DepthFile(Mapping[str, np.ndarray]):
    """The depth maps of a file in the own form, by name; each is read from the file when it is looked up."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with reading(path, "ground truth", _HINT), zipfile.ZipFile(path) as archive:
            self._names = [name.removesuffix(".npy") for name in archive.namelist()]
        self._known = frozenset(self._names)

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._known:
            raise KeyError(name)
        with reading(self.path, "ground truth", _HINT), zipfile.ZipFile(self.path) as archive:
            member = archive.getinfo(f"{name}.npy")
            check_member(member, str(self.path))
            with archive.open(member) as file:
                depth = read_numbers(file, member.file_size, f"{self.path}, {name}")
        if depth.ndim != 2:
            raise MdtkError(f"{self.path}: the depth of {name} has shape {depth.shape}, not (H, W); {_HINT}")
        return depth

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def write_depths(path: str | Path, depths: Iterable[tuple[str, np.ndarray]]) -> int:
    """Writes pairs of name and depth (H, W) in the own form, one at a time, atomically; returns their number."""
    names: set[str] = set()
    with (
        atomic_write(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as file,
    ):
        for name, depth in depths:
            if name in names:
                raise MdtkError(f"{path}: the list names '{name}' twice; give each image once")
            names.add(name)
            with file.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(depth, np.float32), allow_pickle=False)
    return len(names)


def write_numbered(
    folder: str | Path, depth_of: Callable[[int], np.ndarray], count: int, progress: Progress = iter, jobs: int = 1
) -> tuple[int, int]:
    """Writes `count` depth maps as %03d_depth.npy, Cityscapes' published form; existing files are kept.

    `depth_of` gives the depth (H, W) of an index. Returns the numbers of files written and kept.
    """
    paths = [numbered_path(Path(folder), index) for index in range(count)]
    missing = [index for index, path in enumerate(paths) if not path.is_file()]
    depths = in_order(depth_of, progress(missing), jobs)
    for index, depth in zip(missing, depths, strict=True):
        with atomic_write(paths[index]) as temporary:
            np.save(temporary, depth.astype(np.float32, copy=False), allow_pickle=False)
    return len(missing), count - len(missing)


def in_order(depth_of: Callable[[int], np.ndarray], indices: Iterable[int], jobs: int) -> Iterator[np.ndarray]:
    """`depth_of` every index in order, computed in `jobs` processes, some maps ahead (1: in this process)."""
    if jobs == 1:
        yield from map(depth_of, indices)
        return
    left = iter(indices)
    with Parallel(jobs, batch_size=4) as pool:
        while part := list(itertools.islice(left, 8 * jobs)):  # so many maps wait at most
            yield from pool(delayed(depth_of)(index) for index in part)


def numbered_path(folder: Path, index: int) -> Path:
    """The file of entry `index`, counted from 0, in Cityscapes' published form."""
    return folder / f"{index:03d}_depth.npy"


def read_npy(path: Path) -> np.ndarray:
    """The array of a numeric .npy file as float32. Raises `MdtkError` for a missing file or pickled objects."""
    return read_npy_file(path, "ground truth", _HINT).astype(np.float32, copy=False)


def read_gt_depths(path: str | Path) -> Mapping[str, np.ndarray] | list[np.ndarray]:
    """The depth maps (H, W) of a file or folder: by name in the own form, in list order in a published form."""
    path = Path(path)
    if path.is_dir():
        return _read_folder(path)
    require_file(path, "ground truth", _HINT)
    with reading(path, "ground truth", _HINT), zipfile.ZipFile(path) as archive:
        if archive.namelist() != ["data.npy"]:
            return DepthFile(path)
        member = archive.getinfo("data.npy")
        check_member(member, str(path))
        with archive.open(member) as file:
            return _read_published(file, member.file_size, str(path))


def depths_by_name(path: str | Path, names: Sequence[str]) -> Mapping[str, np.ndarray]:
    """The depth maps (H, W) of `names`; a file without names must hold them in this order.

    Raises `MdtkError` for another number of maps, or a missing name.
    """
    depths = read_gt_depths(path)
    if isinstance(depths, list):
        if len(depths) != len(names):
            raise MdtkError(f"{path}: has {len(depths)} depth maps, the list has {len(names)} images; {_HINT}")
        return dict(zip(names, depths, strict=True))
    missing = [name for name in names if name not in depths]
    if missing:
        raise MdtkError(f"{path}: has no depth of '{missing[0]}' ({len(missing)} of {len(names)} missing); {_HINT}")
    return depths


def depths_in_order(path: str | Path, names: Sequence[str]) -> Callable[[int], np.ndarray]:
    """A function from an index in `names` to the depth (H, W) that `depths_by_name` finds."""
    depths = depths_by_name(path, names)
    return lambda index: depths[names[index]]


def _read_folder(folder: Path) -> list[np.ndarray]:
    count = len(list(folder.glob("*_depth.npy")))
    if not count:
        raise MdtkError(f"ground truth not found: {folder} has no 000_depth.npy …; {_HINT}")
    return [read_npy(numbered_path(folder, index)) for index in range(count)]


def _read_published(member: IO[bytes], size: int, origin: str) -> list[np.ndarray]:
    """The maps in the array "data": an object array of maps, or (N, H, W) numbers where all maps have one size."""
    header = read_header(member)
    shape, fortran, dtype = header
    if dtype.hasobject:
        depths = [depth.astype(np.float32, copy=False) for depth in load_array_of_arrays(member, origin)]
        if wrong := [depth.shape for depth in depths if depth.ndim != 2]:
            raise MdtkError(f"{origin}: holds an array of shape {wrong[0]}; expected one depth map (H, W) per image")
        return depths
    if len(shape) != 3 or fortran or dtype.kind != "f":
        raise MdtkError(f"{origin}: holds {dtype} of shape {shape}; expected one depth map (H, W) per image")
    return list(numbers_after(member, header, size, origin).astype(np.float32, copy=False))


def export_depths(
    names: Sequence[str],
    depth_of: Callable[[int], np.ndarray],
    output: str | Path,
    progress: Progress = iter,
    jobs: int = 1,
) -> str:
    """Writes the depth maps of `names`: in the own form if `output` ends in .npz, else as numbered files into a folder.

    `depth_of` gives the depth (H, W) of an index; `progress` wraps the indices, as tqdm does; `jobs` processes compute
    the maps, which are written as they come. Returns a message that says what was written.
    """
    output, indices = Path(output), range(len(names))
    if output.suffix == ".npz":
        count = write_depths(output, zip(names, in_order(depth_of, progress(indices), jobs), strict=True))
        return f"{output}: {count} depth maps written"
    if output.suffix:
        raise MdtkError(f"--output {output}: takes a file .npz, or a folder for %03d_depth.npy files")
    written, kept = write_numbered(output, depth_of, len(names), progress, jobs)
    return f"{output}: {written} depth maps written, {kept} were there"
