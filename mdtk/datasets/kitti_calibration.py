"""Reads KITTI's calibration: `calib_cam_to_cam.txt`, `calib_velo_to_cam.txt` (raw) and `calib.txt` (odometry)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mdtk.core.errors import MdtkError
from mdtk.core.files import require_file
from mdtk.core.guard import TEXT_LIMIT, check_size, reading

LARGEST_NUMBER = 1e7  # of a calibration or a pose: metres, pixels
LARGEST_SIDE = 8192  # pixels of a camera's image
_HINT = "extract KITTI's <date>_calib.zip (raw) or data_odometry_calib.zip below the data root"


@dataclass(frozen=True)
class Cameras:
    """The rectified colour cameras of one recording: 2 (left) and 3 (right).

    `projections` maps a camera to P (3, 4) float64, from rectified camera 0 to pixels of the camera; `sizes` maps it to
    (width, height) in pixels, and is empty where the file does not state them (odometry).
    """

    path: Path
    projections: dict[int, np.ndarray]
    sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    rectification: np.ndarray | None = None  # R_rect_00 (3, 3)

    def intrinsics(self, camera: int, size: tuple[int, int]) -> np.ndarray:
        """K (3, 3) float64 of a camera, in pixels. Raises `MdtkError` if `size` = (width, height) is not that of K."""
        expected = self.sizes.get(camera, size)
        if tuple(size) != expected:
            raise MdtkError(
                f"{self.path}: camera {camera} is calibrated for {expected[0]}x{expected[1]} pixels, the image has "
                f"{size[0]}x{size[1]}; use the original images, or DATA.INTRINSICS nominal"
            )
        return self.projections[camera][:, :3].copy()

    @property
    def baseline(self) -> float:
        """The distance between the two cameras in metres: (P2[0, 3] - P3[0, 3]) / fx."""
        left, right = self.projections[2], self.projections[3]
        return float(left[0, 3] / left[0, 0] - right[0, 3] / right[0, 0])


def read_values(path: Path) -> dict[str, np.ndarray]:
    """The numbers of every line "key: numbers" in a calibration file, by key; other lines (dates) are left out."""
    require_file(path, "calibration", _HINT)
    with reading(path, "calibration", _HINT):
        check_size(path, "calibration", TEXT_LIMIT)
        text = path.read_text(encoding="utf-8", errors="replace")
    values = {}
    for line in text.splitlines():
        key, _, numbers = line.partition(":")
        try:
            values[key.strip()] = np.array([float(number) for number in numbers.split()])
        except ValueError:
            continue  # "calib_time: 09-Jan-2012 13:57:47"
    return values


def _matrix(values: dict[str, np.ndarray], key: str, shape: tuple[int, ...], path: Path) -> np.ndarray:
    if key not in values or values[key].size != int(np.prod(shape)):
        found = f"{values[key].size} numbers" if key in values else "no such line"
        raise MdtkError(f"{path}: {key} must have {int(np.prod(shape))} numbers, found {found}; {_HINT}")
    if not (np.abs(values[key]) < LARGEST_NUMBER).all():
        raise MdtkError(f"{path}: {key} holds a number that is not finite or absurdly large; {_HINT}")
    return values[key].reshape(shape)


def _size(values: dict[str, np.ndarray], key: str, path: Path) -> tuple[int, int]:
    """Width and height in pixels, by which maps are made."""
    width, height = _matrix(values, key, (2,), path)
    if not (1 <= width <= LARGEST_SIDE and 1 <= height <= LARGEST_SIDE):
        raise MdtkError(f"{path}: {key} is {width:g}x{height:g} pixels, which is no image of a camera; {_HINT}")
    return int(width), int(height)


def _projection(values: dict[str, np.ndarray], key: str, path: Path) -> np.ndarray:
    projection = _matrix(values, key, (3, 4), path)
    if not (projection[0, 0] > 0 and projection[1, 1] > 0):
        raise MdtkError(f"{path}: the focal lengths of {key} must be positive; {_HINT}")
    return projection


def read_table(
    path: Path, what: str, hint: str, shape: tuple[int, ...] = (), largest: float = LARGEST_NUMBER
) -> np.ndarray:
    """The numbers of a text file below `largest`, float64 of `shape` (one side may be -1); else lines and columns."""
    require_file(path, what, hint)
    with reading(path, what, hint):
        check_size(path, what, TEXT_LIMIT)
        values = np.loadtxt(path, ndmin=2, encoding="utf-8")
        values = values.reshape(shape) if shape else values
    if not values.size or not (np.abs(values) < largest).all():
        raise MdtkError(f"{path}: must hold {what} of finite numbers; {hint}")
    return values


def read_raw_cameras(folder: Path) -> Cameras:
    """The cameras of one recording date of KITTI raw, from `folder`/calib_cam_to_cam.txt."""
    path = folder / "calib_cam_to_cam.txt"
    values = read_values(path)
    sizes = {}
    for camera in (2, 3):
        if f"S_rect_0{camera}" in values:
            sizes[camera] = _size(values, f"S_rect_0{camera}", path)
    projections = {camera: _projection(values, f"P_rect_0{camera}", path) for camera in (2, 3)}
    return Cameras(path, projections, sizes, _matrix(values, "R_rect_00", (3, 3), path))


def read_odometry_cameras(folder: Path) -> Cameras:
    """The cameras of one sequence of KITTI odometry, from `folder`/calib.txt."""
    path = folder / "calib.txt"
    values = read_values(path)
    return Cameras(path, {camera: _projection(values, f"P{camera}", path) for camera in (2, 3)})


def velodyne_projection(cameras: Cameras, camera: int) -> np.ndarray:
    """The projection (3, 4) from the laser scanner's frame to pixels of rectified `camera`.

    It is P_rect · R_rect_00 · [R | T] with R and T of calib_velo_to_cam.txt (Geiger et al. 2013).
    """
    path = cameras.path.with_name("calib_velo_to_cam.txt")
    values = read_values(path)
    if cameras.rectification is None:
        raise MdtkError(f"{cameras.path}: has no R_rect_00, so the laser scanner cannot be projected; {_HINT}")
    camera0_T_velodyne, rectified_T_camera0 = np.eye(4), np.eye(4)
    camera0_T_velodyne[:3, :3] = _matrix(values, "R", (3, 3), path)
    camera0_T_velodyne[:3, 3] = _matrix(values, "T", (3,), path)
    rectified_T_camera0[:3, :3] = cameras.rectification
    return cameras.projections[camera] @ rectified_T_camera0 @ camera0_T_velodyne
