"""Projects KITTI's laser scans to depth maps, in the convention of the published "eigen" ground truth.

That convention (Eigen et al. 2014, as scored by every later paper) has three peculiarities, kept because scores depend
on them: 1-based pixels, the scanner's forward distance as depth, and the choice among points that share a pixel.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mdtk.core.errors import MdtkError
from mdtk.core.files import require_file
from mdtk.core.guard import check_size, reading

_LARGEST = 64 << 20  # bytes of a scan; KITTI's have 2 MB


def read_points(path: Path) -> np.ndarray:
    """The points of a laser scan, (N, 4) float32: x forward, y left, z up in metres, and reflectance."""
    require_file(path, "laser scan", "extract the drive's velodyne_points (KITTI raw, *_sync.zip)")
    with reading(path, "laser scan", "extract it again"):
        check_size(path, "laser scan", _LARGEST)
        if path.stat().st_size % 16:
            raise MdtkError(f"laser scan cannot be read: {path} is not a whole number of points; extract it again")
        return np.fromfile(path, dtype=np.float32).reshape(-1, 4)


def generate(points: np.ndarray, projection: np.ndarray, size: tuple[int, int], forward: bool = True) -> np.ndarray:
    """The depth map (H, W) float32 of a scan in metres, 0 where no point falls.

    Args:
        points: (N, 4), see `read_points`.
        projection: (3, 4), from the scanner's frame to pixels.
        size: (width, height); the published maps have the size of camera 2 for both cameras.
        forward: depth is the scanner's x, as published; otherwise the camera's z.
    """
    width, height = size
    ahead = points[points[:, 0] >= 0]
    homogeneous = ahead.astype(np.float64)
    homogeneous[:, 3] = 1
    projected = homogeneous @ projection.T
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # Matlab's pixels start at 1, and halves round to even
        columns, rows = (np.round(projected[:, axis] / projected[:, 2]) - 1 for axis in (0, 1))
    inside = (columns >= 0) & (rows >= 0) & (columns < width) & (rows < height)
    columns, rows = columns[inside].astype(np.int64), rows[inside].astype(np.int64)
    values = (homogeneous[:, 0] if forward else projected[:, 2])[inside]
    depth = np.zeros((height, width))
    depth[rows, columns] = values  # the last point of a pixel stays …
    _keep_nearest(depth, rows, columns, values)  # … unless several share it
    return np.maximum(depth, 0).astype(np.float32)


def _keep_nearest(depth: np.ndarray, rows: np.ndarray, columns: np.ndarray, values: np.ndarray) -> None:
    """Where several points share an index, gives the pixel of the first of them the minimum of their depths.

    The published index is row·(W-1) + column - 1, so the last pixel of a row and the first of the next share one.
    """
    index = rows * (depth.shape[1] - 1) + columns - 1
    _, first, group, count = np.unique(index, return_index=True, return_inverse=True, return_counts=True)
    minimum = np.full(len(first), np.inf)
    np.minimum.at(minimum, group.reshape(-1), values)
    shared = count > 1
    depth[rows[first[shared]], columns[first[shared]]] = minimum[shared]
