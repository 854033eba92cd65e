"""A camera of the sample world: pinhole, or with the lens distortion of OpenCV's model."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass

import numpy as np

from mdtk.synthetic.raster import PinholeRays

_DISTORTION_MARGIN = 16  # pixels that the supported lenses move a point, at most


@dataclass(frozen=True)
class Camera:
    """Intrinsics in pixels of the (width, height) image; pixel centres are integers."""

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    distortion: tuple[float, float, float, float, float] | None = None  # k1, k2, p1, p2, k3

    @property
    def K(self) -> np.ndarray:
        """(3, 3)."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1.0]])

    def rows(self, start: int, stop: int) -> Camera:
        """The camera of the image rows start … stop − 1."""
        return Camera(self.fx, self.fy, self.cx, self.cy - start, self.width, stop - start, self.distortion)

    def scaled(self, factor: float) -> Camera:
        """The camera of the image resized by `factor`, with half-pixel centres."""
        cx, cy = (self.cx + 0.5) * factor - 0.5, (self.cy + 0.5) * factor - 0.5
        width, height = round(self.width * factor), round(self.height * factor)
        return Camera(self.fx * factor, self.fy * factor, cx, cy, width, height, self.distortion)

    def rays(self, supersample: int = 1) -> PinholeRays:
        """Rays through `supersample`² points of each pixel."""
        n = supersample
        fx, fy = self.fx * n, self.fy * n
        cx, cy = (self.cx + 0.5) * n - 0.5, (self.cy + 0.5) * n - 0.5
        x = ((np.arange(self.width * n)[None, :] - cx) / fx).astype(np.float32)
        y = ((np.arange(self.height * n)[:, None] - cy) / fy).astype(np.float32)
        if self.distortion is None:
            return PinholeRays(x, y, fx, fy, cx, cy)
        return PinholeRays(*_lens_rays(self, n), fx, fy, cx, cy, _DISTORTION_MARGIN * n)


@functools.lru_cache(maxsize=4)
def _lens_rays(camera: Camera, supersample: int) -> tuple[np.ndarray, np.ndarray]:
    """Kept from frame to frame: the iteration takes longer than drawing."""
    plain = dataclasses.replace(camera, distortion=None).rays(supersample)
    return undistorted(plain.x, plain.y, camera.distortion)


def distorted(x: np.ndarray, y: np.ndarray, distortion: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Where the lens shows the normalised point (x, y) (Brown 1971, as OpenCV parametrises it)."""
    k1, k2, p1, p2, k3 = distortion
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    return x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x), y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y


def undistorted(x: np.ndarray, y: np.ndarray, distortion: tuple) -> tuple[np.ndarray, np.ndarray]:
    """The inverse of `distorted`, by fixed-point iteration; (h, w) float32 each."""
    target_x, target_y = (a.astype(np.float64) for a in np.broadcast_arrays(x, y))
    guess_x, guess_y = target_x, target_y
    for _ in range(20):
        shown_x, shown_y = distorted(guess_x, guess_y, distortion)
        guess_x, guess_y = guess_x + target_x - shown_x, guess_y + target_y - shown_y
    return guess_x.astype(np.float32), guess_y.astype(np.float32)
