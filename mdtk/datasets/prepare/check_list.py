"""Checks the data of one split list: missing or unreadable files, calibration that does not fit, static frames."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mdtk.core.errors import MdtkError
from mdtk.core.files import is_file
from mdtk.datasets.image_files import open_rgb
from mdtk.datasets.packed import PackedFrames
from mdtk.datasets.reader import STEREO, DatasetReader, Offset
from mdtk.datasets.sequence.frames import IMAGE_SUFFIXES

Progress = Callable[[Iterable[Any], int], Iterable[Any]]  # (items, their number) → the items; shows a progress bar
Size = tuple[int, int]
_IMAGES = (*IMAGE_SUFFIXES, ".ppm")  # NYU's raw frames are .ppm


@dataclass(frozen=True)
class Finding:
    """One problem: `what` is its kind, `text` describes it, and `fatal` says whether training would fail."""

    what: str
    text: str
    fatal: bool = True

    def __str__(self) -> str:
        return f"{self.what}: {self.text}"


@dataclass
class Checked:
    """The result of checking one list: the numbers of entries and files, and the findings."""

    title: str
    entries: int
    files: int = 0
    kind: str = "files"
    _found: dict[Finding, None] = field(default_factory=dict)

    def add(self, what: str, text: str, fatal: bool = True) -> None:
        """Adds a finding, unless it is there already."""
        self._found[Finding(what, text, fatal)] = None

    @property
    def findings(self) -> list[Finding]:
        """The findings in the order in which they were added."""
        return list(self._found)

    def summary(self) -> str:
        """One line with the numbers of entries, of files, and of findings of each kind."""
        counts = Counter(finding.what for finding in self.findings)
        found = ", ".join(f"{count} x {what}" for what, count in counts.items()) or "nothing wrong"
        return f"{self.title}: {self.entries} entries, {self.files} {self.kind}: {found}"


def _silent(items: Iterable[Any], total: int) -> Iterable[Any]:
    return items


def check_list(
    reader: DatasetReader,
    offsets: Sequence[Offset],
    title: str,
    quick: bool = False,
    progress: Progress = _silent,
) -> Checked:
    """Checks the files of all entries at `offsets`, whether K and the stereo rig fit the images, and static frames.

    `title` names the list in the result; with `quick` files must exist, but images are not decoded.
    """
    checked = _begin(reader, title)
    files = _files_of(reader, offsets, checked)
    users: dict[Path, int] = {}
    for index, paths in files.items():
        for path in paths:
            users.setdefault(path, index)
    checked.files = len(users)
    sizes: dict[Path, Size | None] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        probes = pool.map(lambda path: _probe(path, reader, users[path], quick), users)
        for path, result in zip(users, progress(probes, len(users)), strict=True):
            if isinstance(result, Finding):
                checked.add(result.what, result.text)
            else:
                sizes[path] = result
    whole = {index: paths for index, paths in files.items() if all(path in sizes for path in paths)}
    _check_sizes(reader, whole, sizes, checked)
    _check_calibration(reader, offsets, whole, sizes, checked)
    if len(offsets) > 1:  # an evaluation measures still frames like others, and published lists hold some
        _check_static(reader, checked)
    return checked


def check_packed(
    packed: PackedFrames,
    reader: DatasetReader,
    offsets: Sequence[Offset],
    title: str,
    quick: bool = False,
    progress: Progress = _silent,
) -> Checked:
    """Checks what `check_list` does where frames come from a packed copy; images of the data root are not looked for.

    Every frame must be the one that was packed, by its checksum; with `quick` none is read.
    """
    checked = _begin(reader, title)
    uses = packed.first_uses()
    checked.files, checked.kind = len(uses), f"frames packed in {packed.folder}"
    for why in packed.unreadable.values():
        checked.add("unreadable", f"{why} (when it was packed)")

    def probe(use: tuple[int, int]) -> str:
        try:
            packed.verify(*use)
        except MdtkError as error:
            return str(error)
        return ""

    if not quick:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for text in filter(None, progress(pool.map(probe, uses.items()), len(uses))):
                checked.add("packed copy", text)
    cameras = {(reader.recording(index), size): index for index, size in reversed(packed.native_sizes().items())}
    for (_, size), index in cameras.items():
        _check_camera(reader, offsets, index, size, checked)
    _check_static(reader, checked)
    return checked


def _begin(reader: DatasetReader, title: str) -> Checked:
    checked = Checked(title, len(reader))
    if not len(reader):
        checked.add("list", f"{title} is empty; give a list with entries")
    return checked


def _files_of(reader: DatasetReader, offsets: Sequence[Offset], checked: Checked) -> dict[int, list[Path]]:
    files = {}
    for index in range(len(reader)):
        try:
            files[index] = reader.files(index, offsets)
        except MdtkError as error:
            checked.add("list", str(error))
    return files


def _probe(path: Path, reader: DatasetReader, index: int, quick: bool) -> Size | Finding | None:
    """The size of an image, None for another kind of readable file, or the finding that it cannot be read."""
    if not is_file(path):
        return Finding("missing", str(path))
    if quick:
        return None
    try:
        if path.suffix.lower() in _IMAGES:
            return open_rgb(path).size
        reader.images(index, [0])
    except MdtkError as error:
        return Finding("unreadable", str(error))
    return None


def _check_sizes(
    reader: DatasetReader, files: dict[int, list[Path]], sizes: dict[Path, Size | None], checked: Checked
) -> None:
    """Adds a finding for entries whose frames differ in size, since the frames of a sample share one K."""
    for index, paths in files.items():
        if len({sizes[path] for path in paths}) > 1:
            shown = ", ".join(f"{path.name} {'x'.join(map(str, sizes[path] or ()))}" for path in paths)
            checked.add("sizes differ", f"{reader.name(index)}: {shown}", fatal=False)


def _check_calibration(
    reader: DatasetReader,
    offsets: Sequence[Offset],
    files: dict[int, list[Path]],
    sizes: dict[Path, Size | None],
    checked: Checked,
) -> None:
    """Adds findings on images, K and the rig that the reader refuses, once for each folder and size of target images.

    An evaluation (offset 0 alone) does not read K, so a wrong K is not fatal there.
    """
    seen = set()
    for index, paths in files.items():
        group = (paths[0].parent, sizes[paths[0]])
        if group in seen:
            continue
        seen.add(group)
        try:
            size = reader.images(index, [0])[0].size
        except MdtkError as error:
            checked.add("unreadable", str(error))
            continue
        _check_camera(reader, offsets, index, size, checked)


def _check_camera(reader: DatasetReader, offsets: Sequence[Offset], index: int, size: Size, checked: Checked) -> None:
    try:
        reader.intrinsics(index, size)
        if STEREO in offsets:
            reader.stereo_pose(index)
    except MdtkError as error:
        checked.add("calibration", str(error), fatal=len(offsets) > 1)


def _check_static(reader: DatasetReader, checked: Checked) -> None:
    try:
        static = reader.static_names()
    except MdtkError as error:
        checked.add("list", str(error))
        return
    held = [name for name in map(reader.name, range(len(reader))) if name in static]
    if held:
        text = f"{len(held)} of {len(reader)} entries stand still, the first {held[0]}; leave them out of training"
        checked.add("static", text, fatal=False)


def check_ground_truth(reader: DatasetReader, kind: str, checked: Checked, progress: Progress = _silent) -> None:
    """Adds a finding for each ground truth of the given kind that cannot be read or has no known pixel."""

    def probe(index: int) -> Finding | None:
        try:
            depth = reader.ground_truth(index, kind)
        except MdtkError as error:
            return Finding("ground truth", str(error))
        if (depth > 0).any():
            return None
        return Finding("ground truth", f"{reader.name(index)} has no known pixel", fatal=False)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = progress(pool.map(probe, range(len(reader))), len(reader))
        for finding in filter(None, found):
            checked.add(finding.what, finding.text, finding.fatal)


def check_poses(reader: DatasetReader, offsets: Sequence[Offset], checked: Checked) -> None:
    """Adds a finding for each frame in time, of `offsets`, whose pose the data do not tell."""
    for index in range(len(reader)):
        try:
            for offset in offsets:
                if isinstance(offset, int):
                    reader.pose(index, offset)
        except MdtkError as error:
            checked.add("pose", str(error))
