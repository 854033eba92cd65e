"""Camera motion against ground truth: the published 5-frame snippet error, and errors of whole trajectories.

A global pose `world_T_camera` maps camera to world; a motion `next_T_this` maps frame i's camera to frame i+1's, as the
pose network predicts it for the pair (i, i+1). Translations are in metres (ground truth) or the network's unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mdtk.core.errors import MdtkError

LENGTHS = (100, 200, 300, 400, 500, 600, 700, 800)  # metres, of the KITTI odometry benchmark
STEP = 10  # frames between the starts of its segments
SNIPPET = 5  # frames


@dataclass(frozen=True)
class Similarity:
    """x → scale · rotation · x + translation."""

    scale: float
    rotation: np.ndarray
    translation: np.ndarray

    def poses(self, world_T_camera: np.ndarray) -> np.ndarray:
        """The poses (N, 4, 4) with their world moved, turned and scaled."""
        moved = world_T_camera.copy()
        moved[:, :3, :3] = self.rotation @ world_T_camera[:, :3, :3]
        moved[:, :3, 3] = self.scale * world_T_camera[:, :3, 3] @ self.rotation.T + self.translation
        return moved


@dataclass(frozen=True)
class SegmentErrors:
    """KITTI's mean errors over all segments: translation in %, rotation in degrees per 100 m; nan without a segment."""

    t_err: float
    r_err: float
    segments: int


def motions(world_T_camera: np.ndarray) -> np.ndarray:
    """Global poses (N, 4, 4) → motions next_T_this (N−1, 4, 4)."""
    return np.linalg.inv(world_T_camera[1:]) @ world_T_camera[:-1]


def accumulate(next_T_this: np.ndarray) -> np.ndarray:
    """Motions (N−1, 4, 4) → global poses (N, 4, 4); the first camera is the world."""
    poses = [np.eye(4)]
    for inverse in np.linalg.inv(next_T_this.astype(np.float64)):
        poses.append(poses[-1] @ inverse)
    return np.stack(poses)


def snippet_points(transforms: np.ndarray) -> np.ndarray:
    """Camera centres (k+1, 3) when `transforms` (k, 4, 4) are chained as the published evaluator chains them.

    It multiplies the motions next_T_this where their inverses would give the path; ground truth and prediction alike.
    """
    pose, points = np.eye(4), [np.zeros(3)]
    for transform in transforms:
        pose = pose @ transform
        points.append(pose[:3, 3])
    return np.stack(points)


def snippet_error(gt_n3: np.ndarray, pred_n3: np.ndarray) -> float:
    """√ Σ (s p − g)² / N after the least-squares scale s, first points together (Zhou et al. 2017)."""
    pred_n3 = pred_n3 + (gt_n3[0] - pred_n3[0])
    norm = np.sum(pred_n3**2)
    scale = np.sum(gt_n3 * pred_n3) / norm if norm > 0 else 1.0
    return float(np.sqrt(np.sum((scale * pred_n3 - gt_n3) ** 2)) / len(gt_n3))


def snippet_ates(gt_world_T_camera: np.ndarray, pred_next_T_this: np.ndarray, length: int = SNIPPET) -> np.ndarray:
    """The absolute trajectory error (N−1,) of the `length`-frame snippet at each frame; the last ones are shorter."""
    _check_counts(gt_world_T_camera, pred_next_T_this)
    gt = motions(gt_world_T_camera.astype(np.float64))
    pred = pred_next_T_this.astype(np.float64)
    windows = [slice(start, start + length - 1) for start in range(len(pred))]
    return np.array([snippet_error(snippet_points(gt[w]), snippet_points(pred[w])) for w in windows])


def _check_counts(gt_world_T_camera: np.ndarray, pred_next_T_this: np.ndarray) -> None:
    if len(gt_world_T_camera) != len(pred_next_T_this) + 1:
        raise MdtkError(
            f"{len(pred_next_T_this)} predicted motions do not fit {len(gt_world_T_camera)} ground-truth poses; "
            "there must be one motion less than poses"
        )


def umeyama(source_n3: np.ndarray, target_n3: np.ndarray) -> Similarity:
    """The similarity that maps `source_n3` to `target_n3` with the least squared error (Umeyama 1991)."""
    source_mean, target_mean = source_n3.mean(0), target_n3.mean(0)
    source, target = source_n3 - source_mean, target_n3 - target_mean
    variance = np.mean(np.sum(source**2, axis=1))
    if variance == 0:
        raise MdtkError("the predicted trajectory does not move; it cannot be aligned to the ground truth")
    left, singular, right = np.linalg.svd(target.T @ source / len(source))
    signs = np.ones(3)
    if np.linalg.det(left) * np.linalg.det(right) < 0:
        signs[2] = -1
    rotation = left @ np.diag(signs) @ right
    scale = float(np.sum(singular * signs) / variance)
    return Similarity(scale, rotation, target_mean - scale * rotation @ source_mean)


def trajectory_ate(gt_world_T_camera: np.ndarray, aligned_world_T_camera: np.ndarray) -> float:
    """√ mean |distance of camera centres|², metres."""
    offsets = gt_world_T_camera[:, :3, 3] - aligned_world_T_camera[:, :3, 3]
    return float(np.sqrt(np.mean(np.sum(offsets**2, axis=1))))


def travelled(world_T_camera: np.ndarray) -> np.ndarray:
    """Distance (N,) along the path at each frame, metres."""
    steps = np.linalg.norm(np.diff(world_T_camera[:, :3, 3], axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])


def segment_errors(
    gt_world_T_camera: np.ndarray, pred_world_T_camera: np.ndarray, lengths: Sequence[float] = LENGTHS, step: int = STEP
) -> SegmentErrors:
    """KITTI's t_err and r_err: over segments of each length from every `step`-th frame (Geiger et al. 2012)."""
    distance = travelled(gt_world_T_camera)
    translations, rotations = [], []
    for first in range(0, len(distance), step):
        for length in lengths:
            last = int(np.searchsorted(distance, distance[first] + length, side="right"))
            if last >= len(distance):
                continue
            gt = np.linalg.inv(gt_world_T_camera[first]) @ gt_world_T_camera[last]
            pred = np.linalg.inv(pred_world_T_camera[first]) @ pred_world_T_camera[last]
            error = np.linalg.inv(pred) @ gt
            translations.append(np.linalg.norm(error[:3, 3]) / length)
            rotations.append(_angle(error[:3, :3]) / length)
    if not translations:
        return SegmentErrors(float("nan"), float("nan"), 0)
    t_err, r_err = 100 * np.mean(translations), np.degrees(100 * np.mean(rotations))
    return SegmentErrors(float(t_err), float(r_err), len(translations))


def _angle(rotation: np.ndarray) -> float:
    """The angle of a rotation matrix, radians."""
    return float(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1.0, 1.0)))
