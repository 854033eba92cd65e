"""Rigid motions from the axis-angle vector and the translation that a pose network predicts."""

from __future__ import annotations

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
