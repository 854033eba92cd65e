"""A camera of the sample world: pinhole, or with the lens distortion of OpenCV's model."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass

import numpy as np

from mdtk.synthetic.raster import PinholeRays

_DISTORTION_MARGIN = 16  # maximum number of pixels by which the supported lenses move a point
Distortion = tuple[float, float, float, float, float]  # k1, k2, p1, p2, k3


@dataclass(frozen=True)
class Camera:
    """Intrinsics in pixels (centres at integers) of an image of `width` x `height` pixels, and lens distortion."""

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    distortion: Distortion | None = None

    @property
    def K(self) -> np.ndarray:
        """The intrinsics as a matrix (3, 3)."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1.0]])

    def rows(self, start: int, stop: int) -> Camera:
        """The camera that shows only the rows start … stop − 1 of the image."""
        return Camera(self.fx, self.fy, self.cx, self.cy - start, self.width, stop - start, self.distortion)

    def scaled(self, factor: float) -> Camera:
        """The camera of the image after resizing by `factor` (see `mdtk.geometry.camera.resize_K`)."""
        cx, cy = (self.cx + 0.5) * factor - 0.5, (self.cy + 0.5) * factor - 0.5
        width, height = round(self.width * factor), round(self.height * factor)
        return Camera(self.fx * factor, self.fy * factor, cx, cy, width, height, self.distortion)

    def rays(self, supersample: int = 1) -> PinholeRays:
        """Rays through `supersample` x `supersample` points of each pixel."""
        n = supersample
        fx, fy = self.fx * n, self.fy * n
        cx, cy = (self.cx + 0.5) * n - 0.5, (self.cy + 0.5) * n - 0.5
        x = ((np.arange(self.width * n)[None, :] - cx) / fx).astype(np.float32)
        y = ((np.arange(self.height * n)[:, None] - cy) / fy).astype(np.float32)
        if self.distortion is None:
            return PinholeRays(x, y, fx, fy, cx, cy)
        x, y = _lens_rays(dataclasses.replace(self, distortion=None), self.distortion, n)
        return PinholeRays(x, y, fx, fy, cx, cy, _DISTORTION_MARGIN * n)


@functools.lru_cache(maxsize=4)
def _lens_rays(camera: Camera, distortion: Distortion, supersample: int) -> tuple[np.ndarray, np.ndarray]:
    """The normalised coordinates of a camera's rays with distortion; cached, since they take longer than rendering."""
    plain = camera.rays(supersample)
    return undistorted(plain.x, plain.y, distortion)


def distorted(x: np.ndarray, y: np.ndarray, distortion: Distortion) -> tuple[np.ndarray, np.ndarray]:
    """The normalised coordinates where a lens shows the point (x, y) (Brown 1971, with OpenCV's parameters)."""
    k1, k2, p1, p2, k3 = distortion
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    return x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x), y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y


def undistorted(x: np.ndarray, y: np.ndarray, distortion: Distortion) -> tuple[np.ndarray, np.ndarray]:
    """The inverse of `distorted`, by fixed-point iteration; (h, w) float32 each."""
    target_x, target_y = (a.astype(np.float64) for a in np.broadcast_arrays(x, y))
    guess_x, guess_y = target_x, target_y
    for _ in range(20):
        shown_x, shown_y = distorted(guess_x, guess_y, distortion)
        guess_x, guess_y = guess_x + target_x - shown_x, guess_y + target_y - shown_y
    return guess_x.astype(np.float32), guess_y.astype(np.float32)
