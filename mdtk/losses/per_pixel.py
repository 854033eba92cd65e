"""Per-pixel maps of the losses: no reduction over the image, no configuration."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor

C1, C2 = 0.01**2, 0.03**2  # Wang et al. 2004, for images in 0..1


def window_mean(padded_bchw: Tensor) -> Tensor:
    """Means over the 3×3 windows inside an image, (B, C, H - 2, W - 2).

    What `avg_pool2d` says, to the last bit (it adds in this order: SSIM's differences of moments show the last bits),
    and ten times as fast on CPUs.
    """
    height, width = padded_bchw.shape[-2] - 2, padded_bchw.shape[-1] - 2
    first, second, *others = (
        padded_bchw[..., y : y + height, x : x + width] for y, x in itertools.product(range(3), range(3))
    )
    total = first + second
    for other in others:
        total += other
    return total.div_(9)


def pad(image_bchw: Tensor) -> Tensor:
    """The image with its border reflected."""
    return F.pad(image_bchw, (1, 1, 1, 1), mode="reflect")


class Target:
    """A target image with the statistics of its 3×3 windows, computed once for all scales and sources."""

    def __init__(self, image_b3hw: Tensor, with_ssim: bool = True) -> None:
        self.image = image_b3hw
        if with_ssim:
            self.padded = pad(image_b3hw)
            self.mean = window_mean(self.padded)
            self.mean_square = self.mean.square()
            self.variance = window_mean(self.padded.square()) - self.mean_square

    def part(self, items: slice) -> Target:
        """Some items of the batch; nothing is copied."""
        part = object.__new__(Target)
        vars(part).update({name: tensor[items] for name, tensor in vars(self).items()})
        return part


def ssim_error(image_b3hw: Tensor, target: Target) -> Tensor:
    """clamp((1 - SSIM) / 2, 0, 1) per channel, 3×3 windows (Wang et al. 2004; Godard et al. 2017): (B, 3, H, W)."""
    padded = pad(image_b3hw)
    mean, square, product = (window_mean(moment) for moment in (padded, padded.square(), padded * target.padded))
    mean_product, mean_square = mean * target.mean, mean.square()
    covariance, variance = product - mean_product, square - mean_square
    above = (2 * mean_product + C1) * (2 * covariance + C2)
    below = (mean_square + target.mean_square + C1) * (variance + target.variance + C2)
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
