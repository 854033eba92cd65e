"""Poses of a recording: KITTI's lines of twelve numbers, or TUM RGB-D's trajectories with a time in each line."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from mdtk.core.errors import MdtkError
from mdtk.datasets.kitti_calibration import LARGEST_NUMBER, read_table

NEAREST = 0.02  # seconds between two times that belong together, as TUM RGB-D's own tool has it
ADVICE = "give lines of 12 numbers (KITTI) or of 8, time tx ty tz qx qy qz qw (TUM)"
LATEST = 1e19  # a time in nanoseconds since 1970 is smaller
_ROTATION = 1e-2  # largest difference of a rotation's determinant, or of a quaternion's norm, from 1


@functools.lru_cache(maxsize=64)
def read_trajectory(path: Path) -> tuple[np.ndarray | None, np.ndarray]:
    """(times (N,) in seconds, None in KITTI's form; world_T_camera (N, 4, 4) float64, metres).

    Raises `MdtkError` for another number of columns, or lines that are no rigid motions.
    """
    rows = read_table(path, "poses", ADVICE, largest=LATEST)
    if rows.shape[1] not in (8, 12):
        raise MdtkError(f"{path}: has {rows.shape[1]} numbers in a line; {ADVICE}")
    world_T_camera = np.tile(np.eye(4), (len(rows), 1, 1))
    if rows.shape[1] == 12:
        world_T_camera[:, :3] = rows.reshape(-1, 3, 4)
        whole = np.abs(np.linalg.det(world_T_camera[:, :3, :3]) - 1) < _ROTATION
        times = None
    else:
        whole = np.abs(np.linalg.norm(rows[:, 4:], axis=1) - 1) < _ROTATION
        if whole.all():
            world_T_camera[:, :3, :3] = Rotation.from_quat(rows[:, 4:]).as_matrix()
        world_T_camera[:, :3, 3] = rows[:, 1:4]
        times = rows[:, 0]
    whole &= (np.abs(world_T_camera) < LARGEST_NUMBER).all(axis=(1, 2))
    if not whole.all():
        raise MdtkError(f"{path}: pose {int(np.argmin(whole)) + 1} is no rigid motion in metres; {ADVICE}")
    return times, world_T_camera


def frame_poses(path: Path, stems: Sequence[str]) -> np.ndarray:
    """world_T_camera (N, 4, 4) of the frames with these file stems; NaN where the file has none.

    As many poses as frames are theirs in order; else a trajectory's times are matched with stems that are times in
    seconds, to 0.02 s. Raises `MdtkError` where neither fits.
    """
    times, poses = read_trajectory(path)
    if len(poses) == len(stems):
        return poses
    seconds = _seconds(stems)
    if times is None or seconds is None:
        raise MdtkError(
            f"{path}: holds {len(poses)} poses for {len(stems)} frames; give one for each, or a trajectory of TUM's "
            "form and frames whose file names are their times"
        )
    nearest = np.abs(times[None] - seconds[:, None]).argmin(axis=1)
    found = poses[nearest].copy()
    found[np.abs(times[nearest] - seconds) > NEAREST] = np.nan
    if np.isnan(found).all():
        raise MdtkError(f"{path}: no pose is within {NEAREST} s of a frame; check the times")
    return found


def _seconds(stems: Sequence[str]) -> np.ndarray | None:
    try:
        return np.array([float(stem) for stem in stems])
    except ValueError:
        return None
