"""Per-pixel maps of the losses: no reduction over the image, no configuration."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

C1, C2 = 0.01**2, 0.03**2  # Wang et al. 2004, for images in 0..1


def box_sum(image_bchw: Tensor) -> Tensor:
    """Sums over 3×3 windows inside the image, (B, C, H - 2, W - 2): rows, then columns, which is many times as fast as
    a pooling on CPUs."""
    rows = image_bchw[..., :-2] + image_bchw[..., 1:-1]
    rows += image_bchw[..., 2:]
    total = rows[..., :-2, :] + rows[..., 1:-1, :]
    total += rows[..., 2:, :]
    return total


def _pad(image: Tensor) -> Tensor:
    return F.pad(image, (1, 1, 1, 1), mode="reflect")


class Target:
    """A target image and what SSIM needs of it, computed once for all scales and sources.

    Of its 3×3 windows with the border reflected: `total`, the sums; `total_square`, their square; `spread`, 81 × the
    variances.
    """

    def __init__(self, image_b3hw: Tensor, with_ssim: bool = True) -> None:
        self.image = image_b3hw
        if with_ssim:
            self.padded = _pad(image_b3hw)
            self.total = box_sum(self.padded)
            self.total_square = self.total.square()
            self.spread = 9 * box_sum(self.padded.square()) - self.total_square

    def part(self, items: slice) -> Target:
        """Some items of the batch; nothing is copied."""
        part = object.__new__(Target)
        vars(part).update({name: tensor[items] for name, tensor in vars(self).items()})
        return part


def ssim_error(image_b3hw: Tensor, target: Target) -> Tensor:
    """clamp((1 - SSIM) / 2, 0, 1) per channel, 3×3 windows (Wang et al. 2004; Godard et al. 2017): (B, 3, H, W)."""
    padded = _pad(image_b3hw)
    mean, target_mean = box_sum(padded) / 9, target.total / 9
    mean_product, mean_square, target_square = mean * target_mean, mean.square(), target.total_square / 81
    covariance = box_sum(padded * target.padded) / 9 - mean_product
    variance = box_sum(padded.square()) / 9 - mean_square
    above = (2 * mean_product + C1) * (2 * covariance + C2)
    below = (mean_square + target_square + C1) * (variance + target.spread / 81 + C2)
    return ((1 - above / below) / 2).clamp(0, 1)


def photometric_error(image_b3hw: Tensor, target: Target, ssim_weight: float = 0.85) -> Tensor:
    """ssim_weight × SSIM error + (1 - ssim_weight) × L1, mean over channels: (B, 1, H, W). Weight 0: L1 alone."""
    l1 = (image_b3hw - target.image).abs().mean(1, keepdim=True)
    if ssim_weight == 0:
        return l1
    return ssim_weight * ssim_error(image_b3hw, target).mean(1, keepdim=True) + (1 - ssim_weight) * l1


def smoothness(disparity_b1hw: Tensor, image_b3hw: Tensor) -> tuple[Tensor, Tensor]:
    """Edge-aware first differences of mean-normalised disparity: maps along x (…, W-1) and y (H-1, …).

    Godard et al. 2019, eq. 3; the mean normalisation is Wang et al. 2018's.
    """
    disparity = disparity_b1hw / (disparity_b1hw.mean((2, 3), keepdim=True) + 1e-7)
    maps = []
    for dim in (3, 2):
        edges = image_b3hw.diff(dim=dim).abs().mean(1, keepdim=True)
        maps.append(disparity.diff(dim=dim).abs() * torch.exp(-edges))
    return maps[0], maps[1]


def log_depth_difference(depth: Tensor, other: Tensor) -> Tensor:
    """log depth - log other, the argument of the scale-invariant error."""
    return torch.log(depth + 1e-8) - torch.log(other + 1e-8)


def scale_invariant_error(difference_bn: Tensor, share: float = 0.5) -> Tensor:
    """mean d² - share × (mean d)² a sample (Eigen et al. 2014, eq. 4): (B,)."""
    return difference_bn.square().mean(-1) - share * difference_bn.mean(-1).square()


def geometry_difference(projected_z_b1hw: Tensor, sampled_depth_b1hw: Tensor) -> Tensor:
    """|z - d| / (z + d): how far the target's depth, carried into the source, is from the source's own depth.

    Bian et al. 2019 (SC-SfMLearner), eq. 5; in 0..1, and 1 for what lies behind the source camera.
    """
    z = projected_z_b1hw.clamp(min=0)
    return (z - sampled_depth_b1hw).abs() / (z + sampled_depth_b1hw).clamp(min=1e-7)
