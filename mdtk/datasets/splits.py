"""Split lists: text files in Monodepth2's form, and published lists in the project's compact form (`splits/*.yaml`)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mdtk.core.errors import MdtkError
from mdtk.core.files import inside, is_file, require_file, resolve_data
from mdtk.core.guard import read_text
from mdtk.datasets import compact_splits

KITTI_RAW_URL = "https://s3.eu-central-1.amazonaws.com/avg-kitti/raw_data"
# Lists that were never published, and how to get them
_MADE = {"nyuv2/train": "make it with tools/make_nyu_split.py", "nyuv2/val": "make it with tools/make_nyu_split.py"}


@dataclass(frozen=True)
class Split:
    """A list of entries. `origin` says where it came from; `sha256` is the hash of its text form (see `as_text`)."""

    name: str
    lines: tuple[str, ...]
    origin: str
    sha256: str

    def __len__(self) -> int:
        return len(self.lines)


def as_text(lines: Sequence[str]) -> str:
    """The text form of a list: one entry per line, each ended by LF."""
    return "".join(f"{line}\n" for line in lines)


def text_sha256(lines: Sequence[str]) -> str:
    """The sha256 of the text form of `lines`, in hexadecimal."""
    return hashlib.sha256(as_text(lines).encode()).hexdigest()


def text_path(root: str | Path, name: str) -> Path:
    """The file of a data root's own list: <root>/splits/odom/test_files_09.txt for "odom/test_09"."""
    folder, _, part = name.rpartition("/")
    part, _, rest = part.partition("_")
    return Path(root) / "splits" / folder / f"{part}_files{'_' + rest if rest else ''}.txt"


def load_split(name: str, root: str | Path | None = None) -> Split:
    """The list `name`: a text file if it ends in .txt, else the list of the data root, else the published list.

    Raises `MdtkError` if there is none, or it is empty.
    """
    if Path(name).suffix == ".txt":
        return _read_text(name, resolve_data(name))
    if root is not None and is_file(own := text_path(root, name)):
        return _read_text(name, inside(root, own, f"split {name}", links=True))
    if compact_splits.knows(name):
        lines = tuple(compact_splits.expand(name))
        return Split(name, lines, f"published list {name}", text_sha256(lines))
    where = f"{text_path(root, name)} is not there, and " if root is not None else ""
    advice = _MADE.get(name, f"give a text file, or one of {', '.join(compact_splits.names())}")
    raise MdtkError(f"split {name} not found: {where}it is not a published list; {advice}")


def _read_text(name: str, path: Path) -> Split:
    require_file(path, "split list", "give an existing text file or the name of a published list")
    text = read_text(path, "split list", "give a text file with one entry per line")
    lines = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not lines:
        raise MdtkError(f"split list is empty: {path}; give one entry per line")
    return Split(name, lines, str(path), text_sha256(lines))


def load_static_frames(root: str | Path | None = None) -> frozenset[tuple[str, int]]:
    """The frames of KITTI raw during which the car stands still, as pairs of "<date>/<drive>" and frame number.

    They come from splits/static_frames.txt of the root if it exists, else from SfMLearner's list (Zhou et al. 2017).
    """
    own = Path(root) / "splits" / "static_frames.txt" if root is not None else None
    if own is None or not is_file(own):
        return frozenset(compact_splits.static_frames())
    frames = set()
    for number, line in enumerate(read_text(own, "list of static frames", "restore it").splitlines(), 1):
        try:
            date, drive, frame = line.split()
            frames.add((f"{date}/{drive}", int(frame)))
        except ValueError as error:
            raise MdtkError(
                f"{own}, line {number}: cannot read '{line}'; a line is '<date> <drive> <frame>'"
            ) from error
    return frozenset(frames)


def kitti_archives() -> list[str]:
    """The URLs of the KITTI raw archives that all lists need together: 5 of calibration, and 61 drives."""
    lists = ("eigen_full/train", "eigen/test", "benchmark/train", "benchmark/val")
    drives = {line.split("/")[1].split()[0] for name in lists for line in compact_splits.expand(name)}
    calibrations = {f"{drive[:10]}_calib" for drive in drives}
    folders = {drive: drive.removesuffix("_sync") + "/" for drive in drives} | dict.fromkeys(calibrations, "")
    archives = sorted(folders, key=lambda name: (name[:10], name in drives, name))
    return [f"{KITTI_RAW_URL}/{folders[name]}{name}.zip" for name in archives]
