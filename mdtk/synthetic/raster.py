"""Ray casting: finds the nearest surface along every ray of a grid, by intersecting the rays with each primitive.

Rays start at the origin of the sensor's frame. The result is the ray parameter, which is the depth z for a pinhole
camera (whose directions have z = 1) and the range for a LiDAR (whose directions have unit length).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mdtk.synthetic.scene import Quads, Rounds

NEAR = 0.05  # metres; nearer surfaces are not seen
NOTHING = -1  # the number of a primitive where a ray hits none


@dataclass(frozen=True)
class PinholeRays:
    """The rays through the pixels of a camera, or through a regular grid of points in them.

    `x` (1 or h, w) and `y` (h, 1 or w) are normalised image coordinates. A point with normalised coordinates (x, y)
    falls on the grid index (fx x + cx, fy y + cy), to within `margin` where the lens distorts.
    """

    x: np.ndarray
    y: np.ndarray
    fx: float
    fy: float
    cx: float
    cy: float
    margin: int = 1

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows and columns."""
        return len(self.y), self.x.shape[1]

    def directions(self, rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The components x, y, z of the directions in a window of rows and columns, broadcastable to its shape."""
        x, y = self.x[rows if len(self.x) > 1 else slice(None), columns], self.y[rows]
        return x, (y[:, columns] if y.shape[1] > 1 else y), np.ones((1, 1), np.float32)

    def windows(self, corners: np.ndarray) -> np.ndarray:
        """The window of rays that contains each convex hull of `corners` (N, C, 3).

        Returns (N, 4): start and stop of the rows, start and stop of the columns.
        """
        behind = corners[..., 2] < NEAR
        z = np.maximum(corners[..., 2], NEAR)
        u, v = self.fx * corners[..., 0] / z + self.cx, self.fy * corners[..., 1] / z + self.cy
        for n in np.flatnonzero(behind.any(1) & ~behind.all(1)):
            clipped = _clip_near(corners[n])
            cu = self.fx * clipped[:, 0] / clipped[:, 2] + self.cx
            cv = self.fy * clipped[:, 1] / clipped[:, 2] + self.cy
            u[n, 0], u[n, 1:], v[n, 0], v[n, 1:] = cu.min(), cu.max(), cv.min(), cv.max()
        height, width = self.shape
        bounds = np.stack([v.min(1), v.max(1) + 1, u.min(1), u.max(1) + 1], axis=1)
        bounds += self.margin * np.array([-1, 1, -1, 1])
        bounds = np.clip(bounds, 0, [height, height, width, width]).astype(int)
        bounds[behind.all(1)] = 0
        return bounds


def _clip_near(corners: np.ndarray) -> np.ndarray:
    """The corners in front of the near plane, and the points where edges between any two corners cross it."""
    points = [c for c in corners if c[2] >= NEAR]
    for a in range(len(corners)):
        for b in range(a):
            p, q = corners[a], corners[b]
            if (p[2] < NEAR) != (q[2] < NEAR):
                points.append(p + (NEAR - p[2]) / (q[2] - p[2]) * (q - p))
    clipped = np.stack(points)
    clipped[:, 2] = np.maximum(clipped[:, 2], NEAR)
    return clipped


@dataclass(frozen=True)
class SpinningRays:
    """The rays of a LiDAR: rows are beams, columns ascending azimuths; x is forward, y left, z up."""

    elevation: np.ndarray  # (beams,) radians, up is positive
    azimuth: np.ndarray  # (columns,) radians, left is positive, within −π…π

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of beams and azimuths."""
        return len(self.elevation), len(self.azimuth)

    def directions(self, rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `PinholeRays.directions`."""
        elevation, azimuth = self.elevation[rows, None], self.azimuth[None, columns]
        flat = np.cos(elevation)
        z = np.broadcast_to(np.sin(elevation), np.broadcast_shapes(elevation.shape, azimuth.shape))
        return (flat * np.cos(azimuth)), (flat * np.sin(azimuth)), z

    def windows(self, corners: np.ndarray) -> np.ndarray:
        """See `PinholeRays.windows`; a hull that may surround the sensor or straddle ±π gets all azimuths."""
        azimuth = np.arctan2(corners[..., 1], corners[..., 0])
        middle = corners.mean(1)
        center = np.arctan2(middle[:, 1], middle[:, 0])
        spread = (azimuth - center[:, None] + np.pi) % (2 * np.pi) - np.pi
        low, high = center + spread.min(1), center + spread.max(1)
        around = (np.abs(spread).max(1) > np.pi / 2 - 0.01) | (low < -np.pi) | (high > np.pi)
        start = np.searchsorted(self.azimuth, low - 1e-6)
        stop = np.searchsorted(self.azimuth, high + 1e-6)
        rows, columns = self.shape
        start, stop = np.where(around, 0, start), np.where(around, columns, stop)
        return np.stack([np.zeros_like(start), np.full_like(start, rows), start, stop], axis=1)


Rays = PinholeRays | SpinningRays


def cast(rays: Rays, quads: Quads, rounds: Rounds, up: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest hit of every ray.

    Args:
        rays: a grid of h x w rays.
        quads, rounds: the primitives in the frame of the sensor.
        up: (3,) the world's upward direction in that frame.

    Returns:
        The ray parameter, (h, w) float32, inf where nothing is hit; and the number of the primitive, (h, w) int32,
        counted through quads and then rounds, `NOTHING` where nothing is hit.
    """
    distance = np.full(rays.shape, np.inf, np.float32)
    number = np.full(rays.shape, NOTHING, np.int32)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        _cast_quads(rays, quads, distance, number)
        _cast_rounds(rays, rounds, up, len(quads.origin), distance, number)
    return distance, number


def _cast_quads(rays: Rays, quads: Quads, distance: np.ndarray, number: np.ndarray) -> None:
    o, eu, ev, n = quads.origin, quads.edge_u, quads.edge_v, quads.normal
    offset = np.einsum("ij,ij->i", n, o)  # the plane is n·X = offset; the sensor is at 0, on the seen side if < 0
    corners = np.stack([o, o + eu, o + ev, o + eu + ev], axis=1)
    bounds = rays.windows(corners)
    area = (bounds[:, 1] - bounds[:, 0]) * (bounds[:, 3] - bounds[:, 2])
    nearest = _nearest_depth(rays, corners)
    dual_u, dual_v = _dual(eu, ev)
    for i in np.argsort(nearest, kind="stable"):
        if area[i] <= 0 or offset[i] >= 0:
            continue
        rows, columns = slice(*bounds[i, :2]), slice(*bounds[i, 2:])
        known = distance[rows, columns]
        if nearest[i] > known.max():
            continue  # hidden
        dx, dy, dz = rays.directions(rows, columns)
        t = np.float32(offset[i]) / _dot(n[i], dx, dy, dz)
        a = t * _dot(dual_u[i], dx, dy, dz) - np.float32(dual_u[i] @ o[i] + 0.5)
        b = t * _dot(dual_v[i], dx, dy, dz) - np.float32(dual_v[i] @ o[i] + 0.5)
        hit = (np.maximum(np.abs(a), np.abs(b)) <= 0.5) & (t > NEAR) & (t < known)
        np.copyto(known, t, where=hit)
        np.copyto(number[rows, columns], np.int32(i), where=hit)


def _nearest_depth(rays: Rays, corners: np.ndarray) -> np.ndarray:
    """A lower bound of the ray parameter on each convex hull, (N,)."""
    if isinstance(rays, PinholeRays):
        return corners[..., 2].min(1)
    middle = corners.mean(1)
    return np.linalg.norm(middle, axis=1) - np.linalg.norm(corners - middle[:, None], axis=2).max(1)


def _dual(eu: np.ndarray, ev: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The dual vectors (N, 3) whose dot products with `a eu + b ev` are a and b."""
    uu, vv, uv = (np.einsum("ij,ij->i", p, q)[:, None] for p, q in ((eu, eu), (ev, ev), (eu, ev)))
    scale = uu * vv - uv * uv
    return (vv * eu - uv * ev) / scale, (uu * ev - uv * eu) / scale


def _dot(vector: np.ndarray, dx: np.ndarray, dy: np.ndarray, dz: np.ndarray) -> np.ndarray:
    x, y, z = vector.astype(np.float32)
    return (x * dx + z * dz) + y * dy


def _cast_rounds(
    rays: Rays, rounds: Rounds, up: np.ndarray, first: int, distance: np.ndarray, number: np.ndarray
) -> None:
    if not len(rounds.center):
        return
    bounds = rays.windows(_round_corners(rounds, up))
    for i in range(len(rounds.center)):
        if (bounds[i, 1] - bounds[i, 0]) * (bounds[i, 3] - bounds[i, 2]) <= 0:
            continue
        rows, columns = slice(*bounds[i, :2]), slice(*bounds[i, 2:])
        dx, dy, dz = rays.directions(rows, columns)
        known = distance[rows, columns]
        c, r = rounds.center[i], rounds.radius[i]
        dc = _dot(c, dx, dy, dz)
        dd = dx * dx + dy * dy + dz * dz
        if rounds.sphere[i]:
            t = _nearer_root(dd, dc, np.float32(c @ c - r * r))
            hit = t > NEAR
        else:
            along, foot = _dot(up, dx, dy, dz), np.float32(c @ up)
            t = _nearer_root(dd - along * along, dc - along * foot, np.float32(c @ c - (c @ up) ** 2 - r * r))
            above = t * along - foot
            hit = (t > NEAR) & (above >= 0) & (above <= rounds.height[i])
        hit &= t < known
        np.copyto(known, t, where=hit)
        np.copyto(number[rows, columns], np.int32(first + i), where=hit)


def _nearer_root(a: np.ndarray, half_b: np.ndarray, c: np.float32) -> np.ndarray:
    """The smaller root t of a t² − 2 half_b t + c; NaN where there is none."""
    return (half_b - np.sqrt(half_b * half_b - a * c)) / a


def _round_corners(rounds: Rounds, up: np.ndarray) -> np.ndarray:
    """The corners (M, 8, 3) of a box around each cylinder and sphere, where `up` is the upward direction."""
    side = np.cross(up, [0.0, 0.0, 1.0] if abs(up[2]) < 0.9 else [1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    other = np.cross(up, side)
    low = np.where(rounds.sphere, -rounds.radius, 0.0)
    high = np.where(rounds.sphere, rounds.radius, rounds.height)
    corners = [
        rounds.center + rounds.radius[:, None] * (p * side + q * other) + edge[:, None] * up
        for p in (-1, 1)
        for q in (-1, 1)
        for edge in (low, high)
    ]
    return np.stack(corners, axis=1)
