"""Consistency of a sequence's depth over time: the temporal alignment error of Video-Depth-Anything."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mdtk.core.errors import MdtkError


def project_depth(depth: np.ndarray, K: np.ndarray, other_T_this: np.ndarray) -> np.ndarray:
    """Depth (H, W) moved into another frame's view by rounding to pixels; the last one written counts, 0 where none.

    `K` (3, 3) belongs to both frames; `other_T_this` (4, 4) maps points of this frame into the other.
    """
    rows, columns = np.nonzero(depth > 0)
    z = depth[rows, columns].astype(np.float64)
    rays = np.linalg.inv(K) @ np.stack([columns, rows, np.ones_like(rows)])
    moved = other_T_this[:3, :3] @ (rays * z) + other_T_this[:3, 3:]
    moved = moved[:, moved[2] > 0]
    places = K @ moved
    x, y = (np.round(places[axis] / places[2]).astype(int) for axis in (0, 1))
    inside = (x >= 0) & (x < depth.shape[1]) & (y >= 0) & (y < depth.shape[0])
    found = np.zeros(depth.shape)
    found[y[inside], x[inside]] = moved[2, inside]
    return found


def temporal_alignment_error(
    depths: Sequence[np.ndarray],
    world_T_cameras: Sequence[np.ndarray],
    Ks: Sequence[np.ndarray],
    valid: Sequence[np.ndarray] | None = None,
) -> float:
    """100 · the mean over neighbouring frames, in both directions, of abs_rel of a depth and its neighbour's moved.

    `depths` are aligned by one scale and shift for the sequence and clamped, (H, W) in metres; `valid` masks pixels
    that count. Raises `MdtkError` for fewer than two frames.
    """
    if len(depths) < 2:
        raise MdtkError("the temporal alignment error needs a sequence of at least two frames with poses")
    errors = []
    for i in range(len(depths) - 1):
        for a, b in ((i, i + 1), (i + 1, i)):
            b_T_a = np.linalg.inv(world_T_cameras[b]) @ world_T_cameras[a]
            moved = project_depth(depths[a], Ks[a], b_T_a)
            both = (moved > 0) & (depths[b] > 0) & (valid[b] if valid is not None else True)
            errors.append(float(np.mean(np.abs(depths[b][both] - moved[both]) / moved[both])) if both.any() else 0.0)
    return 100 * sum(errors) / len(errors)
