"""From the sigmoid that a depth network predicts to disparity and depth."""

from __future__ import annotations

from torch import Tensor


def scaled_disparity(sigmoid: Tensor, min_depth: float | Tensor, max_depth: float | Tensor) -> Tensor:
    """Disparity, 1 / depth: linear in `sigmoid`, from 1 / max_depth to 1 / min_depth (Godard et al. 2019)."""
    minimum = 1 / max_depth
    return minimum + (1 / min_depth - minimum) * sigmoid


def sigmoid_to_depth(sigmoid_b1hw: Tensor, depth_range_b2: Tensor) -> Tensor:
    """Depth (B, 1, H, W) from a sigmoid and the (minimum, maximum) depth of each sample, in the unit of that range."""
    low, high = depth_range_b2[:, :1, None, None], depth_range_b2[:, 1:, None, None]
    return 1 / scaled_disparity(sigmoid_b1hw, low, high)
