"""From views, disparities and motions to one scalar: minimum, automask, weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from mdtk.core.structures import CROP, Disparities, Prediction, View
from mdtk.geometry.camera import backproject, scale_K
from mdtk.geometry.depth import sigmoid_to_depth
from mdtk.geometry.warp import in_view, magnified_crop_pixels, project, sample_pixels
from mdtk.losses import terms


@dataclass(frozen=True)
class LossOptions:
    """What the LOSS keys say."""

    ssim: float = 0.85
    reprojection: str = "min"
    automask: bool = True
    tie_noise: float = 1e-5
    multiscale: str = "full"
    smoothness: float = 1e-3
    mask_weight: float = 0.2
    consistency: float = 0.07
    geometry_consistency: float = 0.0
    align_corners: bool = True
    report_identity: bool = False  # the unwarped error among the scalars, where no automask needs it


@dataclass
class Losses:
    """Named scalars (device tensors, never read here) and, for scale 0 of the whole image, what can be looked at."""

    total: Tensor
    scalars: dict[str, Tensor]
    pictures: dict[str, Tensor] = field(default_factory=dict)


def image_pyramid(image_bchw: Tensor, scales: Sequence[int]) -> dict[int, Tensor]:
    """The image at 1/2^s for each scale, by 2×2 means."""
    pyramid, image = {}, image_bchw
    for scale in range(max(scales) + 1):
        image = F.avg_pool2d(image, 2) if scale else image
        pyramid[scale] = image
    return {scale: pyramid[scale] for scale in scales}


def upsample(image_bchw: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear, corners not aligned (as published); nothing to do at full size."""
    if image_bchw.shape[-2:] == tuple(size):
        return image_bchw
    return F.interpolate(image_bchw, size=tuple(size), mode="bilinear", align_corners=False)


def compute_losses(
    views: Sequence[View], prediction: Prediction, depth_range_b2: Tensor, options: LossOptions, pictures: bool = False
) -> Losses:
    """The training loss: mean over the views of photometric error and smoothness, plus the consistency terms."""
    result = Losses(total=depth_range_b2.new_zeros(()), scalars={})
    finest = []
    for view, disparities in zip(views, prediction.disparities, strict=True):
        restored = {scale: view.restore(disparity, scale) for scale, disparity in disparities.items()}
        loss = view_loss(view, restored, prediction, depth_range_b2, options, result, pictures and view is views[0])
        result.total = result.total + loss / len(views)
        finest.append(restored[0])
    if options.consistency and len(views) > 1:
        full, *others = (_depth(view, sigmoid, depth_range_b2) for view, sigmoid in zip(views, finest, strict=True))
        for view, depth in zip(views[1:], others, strict=True):
            term = view_consistency(view, depth, full)
            result.scalars[f"consistency/{view.name}"] = term
            result.total = result.total + options.consistency * term
    if prediction.K_b33 is not None:
        focal = prediction.K_b33.diagonal(dim1=1, dim2=2).mean(0)
        result.scalars |= {"intrinsics/fx": focal[0], "intrinsics/fy": focal[1]}
    result.scalars["total"] = result.total
    return result


def view_loss(
    view: View,
    disparities: Disparities,
    prediction: Prediction,
    depth_range_b2: Tensor,
    options: LossOptions,
    result: Losses,
    pictures: bool,
) -> Tensor:
    """Godard et al. 2019, eq. 1-5, over the scales of one view: their mean. Adds scalars and pictures to `result`."""
    comparison = Comparison(view, prediction, depth_range_b2, options)
    images = image_pyramid(view.target_b3hw, sorted(disparities))
    total = depth_range_b2.new_zeros(())
    for scale, disparity in disparities.items():
        error, warped, chosen = comparison.error(scale, disparity, result.scalars)
        along_x, along_y = terms.smoothness(disparity, images[scale])
        smooth = along_x.mean() + along_y.mean()
        loss = error.mean() + options.smoothness * smooth / 2**scale
        if prediction.masks is not None:
            # Pull the mask towards 1, or explaining nothing at all would be the best (Zhou et al. 2017).
            mask = comparison.mask(scale)
            loss = loss + options.mask_weight * F.binary_cross_entropy(mask, torch.ones_like(mask))
        result.scalars[f"{view.name}/{scale}"] = loss
        total = total + loss / len(disparities)
        if pictures and scale == 0:
            result.pictures |= {"target": view.target_b3hw, "disparity": disparity.detach()}
            result.pictures["warped"] = torch.stack(warped, 1).detach()
            if chosen is not None:
                result.pictures["automask"] = chosen
    if prediction.source_depths is not None:  # known at scale 0, and counted once however many scales there are
        total = total + options.geometry_consistency * result.scalars[f"{view.name}/geometry"]
    return total


class Comparison:
    """Warped sources against the target, at full resolution or at each scale's own; shared work is done once."""

    def __init__(self, view: View, prediction: Prediction, depth_range_b2: Tensor, options: LossOptions) -> None:
        self.view, self.prediction, self.depth_range_b2, self.options = view, prediction, depth_range_b2, options
        self.K = view.K_b33 if prediction.K_b33 is None else view.K_of(prediction.K_b33)
        self.levels: dict[int, tuple[terms.Target, Tensor, Tensor | None]] = {}

    def level(self, level: int) -> tuple[terms.Target, Tensor, Tensor | None]:
        """Target, sources (B, S, 3, h, w) and errors of the unwarped sources (B, S, h, w; or None) at 1/2^level."""
        if level not in self.levels:
            view, options = self.view, self.options
            target = terms.Target(image_pyramid(view.target_b3hw, [level])[level], options.ssim > 0)
            sources = image_pyramid(view.sources_bs3hw.flatten(0, 1), [level])[level]
            sources = sources.unflatten(0, view.sources_bs3hw.shape[:2])
            with torch.no_grad():
                wanted = options.automask or options.report_identity
                identity = self._errors(sources.unbind(1), target) if wanted else None
            self.levels[level] = target, sources, identity
        return self.levels[level]

    def mask(self, scale: int) -> Tensor:
        """The predictive mask (B, S, h, w) at the size at which `scale` is compared."""
        mask = self.prediction.masks[scale]
        full = self.options.multiscale == "full"
        return upsample(mask, self.view.target_b3hw.shape[-2:]) if full else mask

    def _errors(self, images: Sequence[Tensor], target: terms.Target) -> Tensor:
        return torch.cat([terms.photometric_error(image, target, self.options.ssim) for image in images], 1)

    def error(
        self, scale: int, disparity: Tensor, scalars: dict[str, Tensor]
    ) -> tuple[Tensor, list[Tensor], Tensor | None]:
        """The error a pixel (B, h, w) of one scale, the warped sources (each B, 3, h, w), and where one of them won.

        The last is (B, h, w) of 0 and 1, None without automask. What is worth a look is added to `scalars`.
        """
        options = self.options
        level = 0 if options.multiscale == "full" else scale
        target, sources, identity = self.level(level)
        size = target.image.shape[-2:]
        depth = _depth(self.view, upsample(disparity, size), self.depth_range_b2)
        warped, differences = self._warp(sources, depth, scale_K(self.K, 0.5**level), scale)
        errors = self._errors(warped, target)
        if differences is not None:
            difference, seen = differences
            scalars[f"{self.view.name}/geometry"] = (difference * seen).sum() / seen.sum().clamp(min=1)
            errors = errors * (1 - difference.detach())
        if self.prediction.masks is not None:
            errors = errors * self.mask(scale)
        if options.reprojection == "mean":
            errors = errors.mean(1, keepdim=True)
            identity = None if identity is None else identity.mean(1, keepdim=True)
        best, chosen = self._least(errors, identity if options.automask else None)
        if scale == 0:  # what the warp explains, beside what the unwarped sources explain; for the eye, no gradient
            scalars[f"{self.view.name}/warped"] = errors.detach().amin(1).mean()
            if identity is not None:
                scalars[f"{self.view.name}/identity"] = identity.amin(1).mean()
        return best, warped, chosen

    def _least(self, errors: Tensor, identity: Tensor | None) -> tuple[Tensor, Tensor | None]:
        least = errors.amin(1) if errors.shape[1] > 1 else errors[:, 0]
        if identity is None:
            return least, None
        noise = torch.randn_like(identity) * self.options.tie_noise if self.options.tie_noise else 0.0
        unwarped = (identity + noise).amin(1)
        return torch.minimum(least, unwarped), (least.detach() < unwarped).float()

    def _warp(
        self, sources: Tensor, depth: Tensor, K: Tensor, scale: int
    ) -> tuple[list[Tensor], tuple[Tensor, Tensor] | None]:
        """Each source seen from the target; where they are asked for, the differences of depth and which pixels the
        source sees, both (B, S, h, w)."""
        points = backproject(depth, K)
        with_depth = self.prediction.source_depths is not None and scale == 0
        warped, differences, seen = [], [], []
        for index, source in enumerate(sources.unbind(1)):
            pixels, z = project(points, K, self.prediction.source_T_target_bs44[:, index])
            warped.append(sample_pixels(source, pixels, self.options.align_corners))
            if with_depth:
                source_depth = self.prediction.source_depths[index]
                sampled = sample_pixels(source_depth, pixels, self.options.align_corners)
                differences.append(terms.geometry_difference(z, sampled))
                seen.append((z > 0) & in_view(pixels, *source.shape[-2:]))
        return warped, (torch.cat(differences, 1), torch.cat(seen, 1)) if differences else None


def _depth(view: View, sigmoid: Tensor, depth_range_b2: Tensor) -> Tensor:
    depth = sigmoid_to_depth(sigmoid, depth_range_b2)
    return depth if view.depth_factor_b is None else depth * view.depth_factor_b[:, None, None, None]


def view_consistency(view: View, depth_b1hw: Tensor, full_depth_b1hw: Tensor) -> Tensor:
    """Scale-invariant log error between a view's depth and the whole image's (BDEdepth's consistency loss)."""
    if view.name == CROP:
        pixels = magnified_crop_pixels(view.box_b4, *depth_b1hw.shape[-2:])
        full_depth_b1hw = sample_pixels(full_depth_b1hw, pixels)
    difference = terms.log_depth_difference(depth_b1hw, full_depth_b1hw)
    return terms.scale_invariant_error(difference.flatten(1)).mean()
