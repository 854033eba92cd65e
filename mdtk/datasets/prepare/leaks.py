"""Finds test frames that training sees too, whichever list, camera or layout of the recording names them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from mdtk.datasets.prepare.cityscapes_triplets import GAP
from mdtk.datasets.prepare.nyu_split import place, test_scenes
from mdtk.datasets.reader import DatasetReader, Offset
from mdtk.datasets.readers.cityscapes import parse_line
from mdtk.datasets.readers.kitti import KittiOdom, KittiRaw
from mdtk.datasets.readers.nyuv2 import LABELED, NYUv2
from mdtk.datasets.splits import load_split

# The drive of KITTI raw, and its first frame, of each odometry sequence; from the odometry benchmark's development kit
RAW_OF_ODOMETRY = {
    "00": ("2011_10_03/2011_10_03_drive_0027_sync", 0),
    "01": ("2011_10_03/2011_10_03_drive_0042_sync", 0),
    "02": ("2011_10_03/2011_10_03_drive_0034_sync", 0),
    "03": ("2011_09_26/2011_09_26_drive_0067_sync", 0),
    "04": ("2011_09_30/2011_09_30_drive_0016_sync", 0),
    "05": ("2011_09_30/2011_09_30_drive_0018_sync", 0),
    "06": ("2011_09_30/2011_09_30_drive_0020_sync", 0),
    "07": ("2011_09_30/2011_09_30_drive_0027_sync", 0),
    "08": ("2011_09_30/2011_09_30_drive_0028_sync", 1100),
    "09": ("2011_09_30/2011_09_30_drive_0033_sync", 0),
    "10": ("2011_09_30/2011_09_30_drive_0034_sync", 0),
}
_KITTI_TESTS = ((KittiRaw, "eigen/test"), (KittiOdom, "odom/test_09"), (KittiOdom, "odom/test_10"))
# The published tests with which a training list is compared, even if they are not evaluated, by dataset
_TESTS = {"kitti_raw": _KITTI_TESTS, "kitti_odom": _KITTI_TESTS}


def frame_key(reader: DatasetReader, index: int, offset: int = 0) -> tuple[Hashable, int]:
    """The recording and number of an entry's frame at `offset`, equal for both cameras and KITTI's two layouts."""
    if isinstance(reader, KittiRaw):
        entry = reader.entry(index)
        return entry.folder, entry.frame + offset
    if isinstance(reader, KittiOdom):
        entry = reader.entry(index)
        drive, first = RAW_OF_ODOMETRY.get(entry.folder, (f"odometry {entry.folder}", 0))
        return drive, first + entry.frame + offset
    if reader.key.startswith("cityscapes"):
        _, sequence, frame = parse_line(reader.lines[index], reader.key, index + 1)
        return sequence, frame + offset * (GAP if reader.key == "cityscapes_prepared" else 1)
    return str(reader.files(index, [offset])[0].resolve()), 0


def frames_seen(reader: DatasetReader, offsets: Sequence[Offset]) -> set[tuple[Hashable, int]]:
    """The keys (see `frame_key`) of all frames that training on `reader` looks at, as targets or as sources."""
    steps = [0, *(offset for offset in offsets if isinstance(offset, int) and offset)]
    return {frame_key(reader, index, step) for index in range(len(reader)) for step in steps}


def overlap(seen: set[tuple[Hashable, int]], test: DatasetReader, title: str) -> str | None:
    """A sentence on the frames, or else the recordings, that a test list shares with `seen`; None if there are none.

    `title` names the test list in it.
    """
    keys = [frame_key(test, index) for index in range(len(test))]
    shared = [index for index, key in enumerate(keys) if key in seen]
    if shared:
        first = test.name(shared[0])
        return f"training looks at {len(shared)} of the {len(keys)} frames of {title}, the first {first}"
    recordings = {recording for recording, _ in seen}
    near = sum(recording in recordings for recording, _ in keys)
    return f"training uses the recordings of {near} of the {len(keys)} frames of {title}" if near else None


def published_overlaps(reader: DatasetReader, seen: set[tuple[Hashable, int]]) -> list[str]:
    """Sentences on the overlaps of a training list with the published tests of its dataset (see `overlap`)."""
    tests = ((kind, name, load_split(name, reader.root)) for kind, name in _TESTS.get(reader.key, ()))
    found = [overlap(seen, kind(reader.root, split.lines), name) for kind, name, split in tests]
    if isinstance(reader, NYUv2):
        found.append(_shared_scenes(reader))
    return [text for text in found if text]


def _shared_scenes(reader: NYUv2) -> str | None:
    tests = test_scenes(reader.root / LABELED) or frozenset()
    scenes = {name.split("/")[-2] for name in map(reader.name, range(len(reader))) if name.count("/") > 1}
    shared = sorted(scene for scene in scenes if place(scene) in tests)
    if not shared:
        return None
    return f"training uses {len(shared)} scenes of the official test images, the first {shared[0]}"
