"""Rigid motions: from what a pose network predicts, from known poses, and mirrored."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def rotation_matrix(axisangle_b3: Tensor) -> Tensor:
    """Rotation (B, 3, 3) by |v| radians about the vector v (Rodrigues' formula), with finite gradients at v = 0."""
    angle = torch.sqrt(axisangle_b3.square().sum(-1, keepdim=True) + 1e-20)
    x, y, z = (axisangle_b3 / (angle + 1e-7)).unbind(-1)
    cos, sin = torch.cos(angle[:, 0]), torch.sin(angle[:, 0])
    rest = 1 - cos
    rows = [
        x * x * rest + cos, x * y * rest - z * sin, z * x * rest + y * sin,
        x * y * rest + z * sin, y * y * rest + cos, y * z * rest - x * sin,
        z * x * rest - y * sin, y * z * rest + x * sin, z * z * rest + cos,
    ]  # fmt: skip
    return torch.unflatten(torch.stack(rows, -1), -1, (3, 3))


def pose_matrix(axisangle_b3: Tensor, translation_b3: Tensor, invert: bool = False) -> Tensor:
    """The motion T (B, 4, 4) that rotates and then translates; with `invert` the inverse motion.

    Monodepth2's networks see a pair in temporal order, so the pose of an earlier source is predicted backwards
    and inverted here.
    """
    rotation = rotation_matrix(axisangle_b3)
    translation = translation_b3[..., None]
    if invert:
        rotation = rotation.transpose(-1, -2)
        translation = -rotation @ translation
    matrix = F.pad(torch.cat([rotation, translation], -1), (0, 0, 0, 1))
    matrix[:, 3, 3] = 1.0
    return matrix


def mirror_motion(motion_b44: Tensor) -> Tensor:
    """The motion (..., 4, 4) between the mirrored images of both cameras: x changes its sign before and after."""
    signs = motion_b44.new_ones(4, 4)
    signs[0, 1:] = -1
    signs[1:, 0] = -1
    return motion_b44 * signs


def relative_motion(world_T_source_44: np.ndarray, world_T_target_44: np.ndarray) -> np.ndarray:
    """source_T_target (4, 4) float64 of two camera poses in one world."""
    return np.linalg.solve(world_T_source_44, world_T_target_44)
