"""Disparity and depth."""

from __future__ import annotations

from torch import Tensor


def scaled_disparity(sigmoid: Tensor, min_depth: float | Tensor, max_depth: float | Tensor) -> Tensor:
    """1 / depth from a network's sigmoid: linear in disparity between 1/max and 1/min (Godard et al. 2019)."""
    least = 1 / max_depth
    return least + (1 / min_depth - least) * sigmoid


def sigmoid_to_depth(sigmoid_b1hw: Tensor, depth_range_b2: Tensor) -> Tensor:
    """Depth (B, 1, H, W) from a sigmoid and each sample's (least, greatest) depth."""
    low, high = depth_range_b2[:, :1, None, None], depth_range_b2[:, 1:, None, None]
    return 1 / scaled_disparity(sigmoid_b1hw, low, high)
