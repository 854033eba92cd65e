"""Projects KITTI's laser scans to depth maps, in the convention of the published "eigen" ground truth.

That convention (Eigen et al. 2014, as scored by every later paper) has three peculiarities, kept because scores depend
on them: 1-based pixels, the scanner's forward distance as depth, and the choice among points that share a pixel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from mdtk.core.errors import MdtkError
from mdtk.core.files import require_file
from mdtk.core.guard import check_size, reading

_LARGEST = 64 << 20  # bytes of a scan; KITTI's have 2 MB
_PART, _POINT = 8192, 16  # points of a part, bytes of a point
_AGAIN = "extract the drive's velodyne_points (KITTI raw, *_sync.zip)"
_NONE = np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32)


def read_parts(path: Path) -> Iterator[np.ndarray]:
    """The points of a laser scan, (N, 4) float32: x forward, y left, z up in metres, and reflectance.

    They come in parts of one buffer, each of which is gone when the next one comes.
    """
    require_file(path, "laser scan", _AGAIN)
    with reading(path, "laser scan", "extract it again"):
        check_size(path, "laser scan", _LARGEST)
        if path.stat().st_size % _POINT:
            raise MdtkError(f"laser scan cannot be read: {path} is not a whole number of points; extract it again")
        file = path.open("rb")
    buffer = np.empty((_PART, 4), np.float32)
    with file:
        while True:
            with reading(path, "laser scan", "extract it again"):
                count = file.readinto(buffer.data.cast("B")) or 0
            if not count:
                return
            yield buffer[: count // _POINT]


def generate(points: np.ndarray, projection: np.ndarray, size: tuple[int, int], forward: bool = True) -> np.ndarray:
    """The depth map of a scan whose points (N, 4) are one array; see `depth_map`."""
    return depth_map((points[i : i + _PART] for i in range(0, len(points), _PART)), projection, size, forward)


def depth_map(
    parts: Iterable[np.ndarray], projection: np.ndarray, size: tuple[int, int], forward: bool = True
) -> np.ndarray:
    """The depth map (H, W) float32 of a scan in metres, 0 where no point falls.

    Args:
        parts: the points in order, (N, 4) each, see `read_parts`. What is computed of a part stays in the cache, which
            takes half the time of all points at once.
        projection: (3, 4), from the scanner's frame to pixels.
        size: (width, height); the published maps have the size of camera 2 for both cameras.
        forward: depth is the scanner's x, as published; otherwise the camera's z.
    """
    width, height = size
    seen = [_seen(part, projection, size, forward) for part in parts]
    rows, columns, values = (np.concatenate(one) for one in zip(*seen, strict=True)) if seen else _NONE
    depth = np.zeros((height, width), np.float32)
    depth.ravel()[rows * width + columns] = values  # the last point of a pixel stays …
    _keep_nearest(depth, rows, columns, values)  # … unless several share it
    return np.maximum(depth, 0, out=depth)


def _seen(
    points: np.ndarray, projection: np.ndarray, size: tuple[int, int], forward: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, column and depth of the points that fall into the image."""
    ahead = np.take(points, np.flatnonzero(points[:, 0] >= 0), 0)
    homogeneous = np.ones((4, len(ahead)))
    homogeneous[:3] = ahead[:, :3].T
    x, y, z = projection @ homogeneous
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        columns, rows = x / z, y / z
    for pixels in (columns, rows):  # Matlab's pixels start at 1, and halves round to even
        np.rint(pixels, out=pixels)
        pixels -= 1
    inside = np.flatnonzero((columns >= 0) & (rows >= 0) & (columns < size[0]) & (rows < size[1]))
    values = ahead[inside, 0] if forward else z[inside].astype(np.float32)
    return rows[inside].astype(np.int32), columns[inside].astype(np.int32), values


def _keep_nearest(depth: np.ndarray, rows: np.ndarray, columns: np.ndarray, values: np.ndarray) -> None:
    """Where several points share an index, gives the pixel of the first of them the minimum of their depths.

    The published index is row·(W-1) + column - 1, so the last pixel of a row and the first of the next share one.
    """
    index = rows * (depth.shape[1] - 1) + columns
    last = np.empty(depth.size, np.int32)  # where no point is, it stays as it is
    places = np.arange(len(index), dtype=np.int32)
    last[index] = places
    earlier = np.flatnonzero(last[index] != places)
    if not len(earlier):
        return
    earlier = earlier[np.argsort(index[earlier], kind="stable")]
    shared = index[earlier]
    starts = np.flatnonzero(np.diff(shared, prepend=-1))
    minimum = np.minimum(np.minimum.reduceat(values[earlier], starts), values[last[shared[starts]]])
    first = earlier[starts]
    depth[rows[first], columns[first]] = minimum
