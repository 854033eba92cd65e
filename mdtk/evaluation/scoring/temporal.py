"""Consistency of a sequence's depth over time: the temporal alignment error of Video-Depth-Anything."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mdtk.core.errors import MdtkError

TAE = "tae"  # the name of this metric on the command line and in results


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


@dataclass(frozen=True)
class TimedDepth:
    """A frame: depth (H, W) in metres, 0 where it does not count, world_T_camera (4, 4) and K (3, 3)."""

    depth: np.ndarray
    world_T_camera: np.ndarray
    K: np.ndarray


def pair_error(one: TimedDepth, other: TimedDepth) -> float:
    """100 · the mean of both directions of abs_rel between a depth and its neighbour's, moved into its view.

    abs_rel is |d − moved| / d, d the depth that is not moved; a direction in which no pixel is seen twice counts as 0.
    """
    errors = []
    for a, b in ((one, other), (other, one)):
        moved = project_depth(a.depth, a.K, np.linalg.inv(b.world_T_camera) @ a.world_T_camera)
        both = (moved > 0) & (b.depth > 0)
        errors.append(float(np.mean(np.abs(b.depth[both] - moved[both]) / b.depth[both])) if both.any() else 0.0)
    return 50 * sum(errors)


def temporal_alignment_error(frames: Sequence[TimedDepth]) -> float:
    """The mean of `pair_error` over the neighbours of a sequence, whose depths one scale and shift aligned.

    Raises `MdtkError` for fewer than two frames.
    """
    if len(frames) < 2:
        raise MdtkError("the temporal alignment error needs a sequence of at least two frames with poses")
    return float(np.mean([pair_error(*pair) for pair in itertools.pairwise(frames)]))
