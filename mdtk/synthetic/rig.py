"""The stereo rig and the LiDAR of the sample world's car, and their calibration in the form of KITTI's files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mdtk.synthetic.world_camera import Camera

BASELINE = 0.54  # metres between the colour cameras
CAMERA_HEIGHT = 1.65  # metres above the road


def rotation(x: float, y: float, z: float) -> np.ndarray:
    """The rotation (3, 3) about x, then y, then z, by angles in radians."""
    cx, sx, cy, sy, cz, sz = np.cos(x), np.sin(x), np.cos(y), np.sin(y), np.cos(z), np.sin(z)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


@dataclass(frozen=True)
class Rig:
    """A rectified stereo rig: camera 0 is the reference, cameras 2 (left) and 3 (right) lie on its x axis.

    The intrinsics, as fractions of the size, are near the nominal (0.58, 1.92, 0.5, 0.5); calibrations differ a little.
    """

    width: int
    height: int
    focal: float  # pixels
    calibration: int = 0  # number of the recording date: the seed of the principal point and the rotations
    left_shift: float = 0.06  # metres from camera 2 to camera 0, which is on its right, as in KITTI

    def _wobble(self) -> np.ndarray:
        return np.random.default_rng([713, self.calibration]).uniform(-1, 1, 8)

    @property
    def center(self) -> tuple[float, float]:
        """The principal point in pixels."""
        wobble = self._wobble()
        return 0.5 * self.width * (1 + 0.006 * wobble[0]), 0.5 * self.height * (1 + 0.008 * wobble[1])

    @property
    def K(self) -> np.ndarray:
        """The intrinsics (3, 3) of either colour camera in pixels."""
        return self.camera.K

    @property
    def camera(self) -> Camera:
        """Either colour camera after rectification."""
        return Camera(self.focal, self.focal, *self.center, self.width, self.height)

    @property
    def R_rect(self) -> np.ndarray:
        """The rectifying rotation (3, 3) of camera 0, rounded as in the calibration file."""
        return _rounded(rotation(*(0.006 * self._wobble()[5:8])))

    @property
    def R_velo(self) -> np.ndarray:
        """The rotation (3, 3) from the LiDAR (x forward, y left, z up) to unrectified camera 0, rounded likewise."""
        axes = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])
        return _rounded(rotation(*(0.008 * self._wobble()[2:5])) @ axes)

    @property
    def T_velo(self) -> np.ndarray:
        """The translation (3,) in metres that goes with `R_velo`."""
        return np.array([-0.004, -0.076, -0.272])

    def offset(self, side: str) -> float:
        """The x coordinate in metres of camera 2 (`l`) or 3 (`r`) in the frame of camera 0."""
        return -self.left_shift + (BASELINE if side == "r" else 0.0)

    def P_rect(self, side: str) -> np.ndarray:
        """The projection (3, 4) from the frame of rectified camera 0 to pixels of camera 2 (`l`) or 3 (`r`)."""
        shift = np.array([[-self.offset(side)], [0], [0]])
        return self.K @ np.hstack([np.eye(3), shift])

    def camera_to_world(self, rig_to_world: np.ndarray, side: str) -> np.ndarray:
        """The pose (4, 4) of camera 2 (`l`) or 3 (`r`) for the pose of rectified camera 0."""
        step = np.eye(4)
        step[0, 3] = self.offset(side)
        return rig_to_world @ step

    def velodyne(self, rig_to_world: np.ndarray) -> np.ndarray:
        """The pose (4, 4) of the LiDAR for the pose of rectified camera 0."""
        velo = np.eye(4)
        velo[:3, :3] = self.R_rect @ self.R_velo
        velo[:3, 3] = self.R_rect @ self.T_velo
        return rig_to_world @ velo


def _rounded(matrix: np.ndarray) -> np.ndarray:
    return np.array([float(f"{value:.6e}") for value in matrix.ravel()]).reshape(matrix.shape)


def calib_cam_to_cam(rig: Rig) -> str:
    """The text of KITTI raw's `calib_cam_to_cam.txt`."""
    lines = ["calib_time: 09-Jan-2012 13:57:47", "corner_dist: 9.950000e-02"]
    size = _row("S", [rig.width, rig.height])[3:]
    for camera in ("02", "03"):
        side = "l" if camera == "02" else "r"
        lines += [
            f"S_{camera}: {size}",
            _row(f"K_{camera}", rig.K.ravel()),
            f"S_rect_{camera}: {size}",
            _row(f"R_rect_{camera}", rig.R_rect.ravel()),
            _row(f"P_rect_{camera}", rig.P_rect(side).ravel()),
        ]
    lines.insert(2, _row("R_rect_00", rig.R_rect.ravel()))
    return "\n".join(lines) + "\n"


def calib_velo_to_cam(rig: Rig) -> str:
    """The text of KITTI raw's `calib_velo_to_cam.txt`."""
    return (
        "calib_time: 15-Mar-2012 11:37:16\n"
        f"{_row('R', rig.R_velo.ravel())}\n{_row('T', rig.T_velo)}\n"
        f"{_row('delta_f', [0, 0])}\n{_row('delta_c', [0, 0])}\n"
    )


def calib_odometry(rig: Rig) -> str:
    """The text of KITTI odometry's `calib.txt`; the grey cameras 0, 1 coincide with the colour cameras 2, 3."""
    rows = zip(("P0", "P1", "P2", "P3"), ("l", "r", "l", "r"), strict=True)
    return "\n".join(_row(name, rig.P_rect(side).ravel()) for name, side in rows) + "\n"


def _row(name: str, values: Iterable[float]) -> str:
    return f"{name}: " + " ".join(f"{value:.6e}" for value in values)
