"""The sample world in KITTI odometry's layout: sequences with calibration, times and poses."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mdtk.core.files import write_text
from mdtk.synthetic.drive import DriveSpec, make_drive
from mdtk.synthetic.rig import Rig, calib_odometry
from mdtk.synthetic.world_files import Task, chunks, missing, write_lines, write_png

_CAMERAS = (("l", "image_2"), ("r", "image_3"))
_TRAIN, TEST = (0, 1), (9, 10)


@dataclass(frozen=True)
class Size:
    """How much data a scale makes."""

    frames: tuple[int, int, int, int]  # of sequences 00, 01, 09, 10; 0.9 m each, so that test sequences exceed 100 m
    width: int
    height: int
    focal: float


SIZES = {
    "small": Size((48, 48, 160, 150), 256, 77, 148.2),
    "tiny": Size((8, 8, 8, 8), 192, 58, 111.4),
    "full": Size((400, 400, 500, 450), 620, 187, 359.4),
}


def plan(scale: str, seed: int) -> dict[int, DriveSpec]:
    """The drive of each sequence, by number. Grey and colour cameras coincide, so the poses are those of camera 2."""
    size = SIZES[scale]
    specs = {}
    for sequence, frames in zip((*_TRAIN, *TEST), size.frames, strict=True):
        rig = Rig(size.width, size.height, size.focal, 100 + sequence, left_shift=0.0)
        specs[sequence] = DriveSpec(seed, 1000 + sequence, frames, rig, oncoming=2)
    return specs


def tasks(root: Path, scale: str, seed: int) -> list[Task]:
    """The pieces of work that render the files which do not exist yet."""
    return [
        Task(functools.partial(_write_frames, root, sequence, spec, part), len(part) * len(_cameras(sequence)))
        for sequence, spec in plan(scale, seed).items()
        for part in chunks(spec.frames, 16)
    ]


def _cameras(sequence: int) -> tuple[tuple[str, str], ...]:
    """Side and folder of the cameras that are made: of test sequences only the left one is read."""
    return _CAMERAS if sequence in _TRAIN else _CAMERAS[:1]


def _write_frames(root: Path, sequence: int, spec: DriveSpec, frames: range) -> None:
    for frame in frames:
        for side, camera in _cameras(sequence):
            path = root / "sequences" / f"{sequence:02d}" / camera / f"{frame:06d}.png"
            if missing(path):
                write_png(path, make_drive(spec).image(frame, side))


def finish(root: Path, scale: str, seed: int) -> None:
    """Writes calibration, times, poses and split lists."""
    specs = plan(scale, seed)
    for sequence, spec in specs.items():
        folder = root / "sequences" / f"{sequence:02d}"
        write_text(folder / "calib.txt", calib_odometry(spec.rig))
        write_lines(folder / "times.txt", (f"{0.1 * frame:.6e}" for frame in range(spec.frames)))
        write_lines(root / "poses" / f"{sequence:02d}.txt", pose_lines(make_drive(spec).rig_to_world))
    for name, lines in splits(specs, seed).items():
        write_lines(root / "splits" / "odom" / name, lines)


def pose_lines(camera_to_world: np.ndarray) -> list[str]:
    """The lines of a pose file: twelve numbers, the upper rows of each pose relative to the first one."""
    relative = np.linalg.inv(camera_to_world[0]) @ camera_to_world
    return [" ".join(f"{value:.9e}" for value in pose[:3].ravel()) for pose in relative]


def splits(specs: dict[int, DriveSpec], seed: int) -> dict[str, list[str]]:
    """The lines of each split list by file name, after the published rules.

    Frames 2…N−3 of both cameras are shuffled, and a tenth is for validation; test lists are in order.
    """
    lines = [f"{q} {f} {side}" for q in _TRAIN for f in range(2, specs[q].frames - 2) for side in "lr"]
    lines = [lines[k] for k in np.random.default_rng([seed, 8]).permutation(len(lines))]
    held = -(-len(lines) // 10)
    files = {"train_files.txt": lines[held:], "val_files.txt": lines[:held]}
    for sequence in TEST:
        count = specs[sequence].frames - 1
        files[f"test_files_{sequence:02d}.txt"] = [f"{sequence} {frame} l" for frame in range(count)]
    return files
