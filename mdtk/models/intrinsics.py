"""Learned intrinsics for video of an unknown camera."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mdtk.core.precision import full_precision


class IntrinsicsHead(nn.Module):
    """K from the pose network's coarsest features (Gordon et al., ICCV 2019, section 3.3).

    Focal lengths are softplus(a) × size and the principal point is (0.5 + b) × size, so that training starts at
    ln 2 ≈ 0.69 of the size and the image's centre; the estimates of a sample's pairs are averaged.
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.focal = nn.Linear(in_channels, 2)
        self.centre = nn.Linear(in_channels, 2)
        for layer in (self.focal, self.centre):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, features: Sequence[Tensor], height: int, width: int) -> Tensor:
        """Coarsest features (B, C, h, w) of each pair → K (B, 3, 3) in pixels of a height × width image."""
        with full_precision(features[0]):
            return self._matrix(features, height, width)

    def _matrix(self, features: Sequence[Tensor], height: int, width: int) -> Tensor:
        pooled = torch.stack([feature.float().mean((2, 3)) for feature in features]).mean(0)
        focal, centre = F.softplus(self.focal(pooled)), 0.5 + self.centre(pooled)
        fx, fy, cx, cy = focal[:, 0] * width, focal[:, 1] * height, centre[:, 0] * width, centre[:, 1] * height
        zero, one = torch.zeros_like(fx), torch.ones_like(fx)
        rows = [fx, zero, cx, zero, fy, cy, zero, zero, one]
        return torch.stack(rows, -1).unflatten(-1, (3, 3))
