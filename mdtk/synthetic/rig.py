"""The stereo rig and the LiDAR of the sample's car, in the terms of KITTI's calibration files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mdtk.synthetic.world_camera import Camera

BASELINE = 0.54  # metres between the colour cameras
CAMERA_HEIGHT = 1.65


def rotation(x: float, y: float, z: float) -> np.ndarray:
    """Rotation about x, then y, then z, radians."""
    cx, sx, cy, sy, cz, sz = np.cos(x), np.sin(x), np.cos(y), np.sin(y), np.cos(z), np.sin(z)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


@dataclass(frozen=True)
class Rig:
    """Rectified stereo: camera 0 is the reference, cameras 2 (left) and 3 (right) lie on its x axis.

    The normalised intrinsics are nearly KITTI's nominal (0.58, 1.92, 0.5, 0.5); each calibration differs a little.
    """

    width: int
    height: int
    focal: float  # pixels
    calibration: int = 0  # number of the recording day: draws the principal point and the rotations
    left_shift: float = 0.06  # metres of camera 0 right of camera 2, as in KITTI

    def _wobble(self) -> np.ndarray:
        return np.random.default_rng([713, self.calibration]).uniform(-1, 1, 8)

    @property
    def center(self) -> tuple[float, float]:
        """Principal point in pixels."""
        wobble = self._wobble()
        return 0.5 * self.width * (1 + 0.006 * wobble[0]), 0.5 * self.height * (1 + 0.008 * wobble[1])

    @property
    def K(self) -> np.ndarray:
        """(3, 3) intrinsics in pixels."""
        return self.camera.K

    @property
    def camera(self) -> Camera:
        """Either colour camera, rectified."""
        return Camera(self.focal, self.focal, *self.center, self.width, self.height)

    @property
    def R_rect(self) -> np.ndarray:
        """(3, 3) camera 0 unrectified → rectified, rounded as the calibration file holds it."""
        return _rounded(rotation(*(0.006 * self._wobble()[5:8])))

    @property
    def R_velo(self) -> np.ndarray:
        """(3, 3) Velodyne (x forward, y left, z up) → camera 0 unrectified, rounded as the file holds it."""
        axes = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])
        return _rounded(rotation(*(0.008 * self._wobble()[2:5])) @ axes)

    @property
    def T_velo(self) -> np.ndarray:
        """(3,) metres, beside `R_velo`."""
        return np.array([-0.004, -0.076, -0.272])

    def offset(self, side: str) -> float:
        """x of camera 2 (`l`) or 3 (`r`) in camera 0, metres."""
        return -self.left_shift + (BASELINE if side == "r" else 0.0)

    def P_rect(self, side: str) -> np.ndarray:
        """(3, 4) projection from rectified camera 0."""
        shift = np.array([[-self.offset(side)], [0], [0]])
        return self.K @ np.hstack([np.eye(3), shift])

    def camera_to_world(self, rig_to_world: np.ndarray, side: str) -> np.ndarray:
        """(4, 4) of a colour camera, from the rectified camera 0's."""
        step = np.eye(4)
        step[0, 3] = self.offset(side)
        return rig_to_world @ step

    def velodyne(self, rig_to_world: np.ndarray) -> np.ndarray:
        """Velodyne-to-world (4, 4)."""
        velo = np.eye(4)
        velo[:3, :3] = self.R_rect @ self.R_velo
        velo[:3, 3] = self.R_rect @ self.T_velo
        return rig_to_world @ velo


def _rounded(matrix: np.ndarray) -> np.ndarray:
    return np.array([float(f"{value:.6e}") for value in matrix.ravel()]).reshape(matrix.shape)


def calib_cam_to_cam(rig: Rig) -> str:
    """KITTI raw's `calib_cam_to_cam.txt`."""
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
    """KITTI raw's `calib_velo_to_cam.txt`."""
    return (
        "calib_time: 15-Mar-2012 11:37:16\n"
        f"{_row('R', rig.R_velo.ravel())}\n{_row('T', rig.T_velo)}\n"
        f"{_row('delta_f', [0, 0])}\n{_row('delta_c', [0, 0])}\n"
    )


def calib_odometry(rig: Rig) -> str:
    """KITTI odometry's `calib.txt`; the grey cameras 0, 1 coincide with the colour cameras 2, 3."""
    rows = zip(("P0", "P1", "P2", "P3"), ("l", "r", "l", "r"), strict=True)
    return "\n".join(_row(name, rig.P_rect(side).ravel()) for name, side in rows) + "\n"


def _row(name: str, values) -> str:
    return f"{name}: " + " ".join(f"{value:.6e}" for value in values)
