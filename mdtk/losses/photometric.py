"""The photometric comparison: sources warped into the target, at full resolution or at each scale's own.

A `Comparison` is of one view and holds what its scales share: statistics of the target, errors of the unwarped sources.
The errors of the warped sources come from `mdtk.losses.reprojection`; with `fused` off they are those of the images
that `ScaleComparison.warped` shows, which is the plain way to say the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from mdtk.core.structures import Prediction, Sigmoids, View
from mdtk.geometry.camera import backproject, scale_K
from mdtk.geometry.warp import project, sample_pixels
from mdtk.losses.per_pixel import Target, photometric_error
from mdtk.losses.reprojection import reprojection_errors, unwarped_errors

T = TypeVar("T")


@dataclass(frozen=True)
class PhotometricOptions:
    """What the LOSS keys of the same names say, and what is looked at besides."""

    ssim: float = 0.85
    reprojection: str = "min"
    automask: bool = True
    tie_noise: float = 1e-5
    multiscale: str = "full"
    align_corners: bool = True
    report_identity: bool = False  # the unwarped error among the scalars, where no automask needs it
    fused: bool = True  # errors in few passes and without keeping images (see `mdtk.losses.reprojection`)


class Level(NamedTuple):
    """Target and sources at one size, and what the scales that are compared there share."""

    target: Target
    sources_bs3hw: Tensor
    identity_bshw: Tensor | None  # errors of the unwarped sources


class PhotometricError(NamedTuple):
    """What one scale's comparison gives."""

    error_bhw: Tensor
    chosen_bhw: Tensor | None  # 1 where a warped source won over the unwarped ones; None without automask
    means: dict[str, Tensor]  # "warped", "identity": for the eye, without gradient


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


class Comparison:
    """One view's warped sources against its target.

    `sigmoids`: scale → sigmoid over the loss's image, restored.
    """

    def __init__(self, view: View, prediction: Prediction, sigmoids: Sigmoids, options: PhotometricOptions) -> None:
        self.view, self.prediction, self.sigmoids, self.options = view, prediction, sigmoids, options
        self.K_b33 = view.K_b33 if prediction.K_b33 is None else view.intrinsics(prediction.K_b33)
        self.images = image_pyramid(view.target_b3hw, sorted(sigmoids))
        self._levels: dict[int, Level] = {}

    def compare(self, scale: int) -> ScaleComparison:
        """Warps the sources by the depth of one scale."""
        level = 0 if self.options.multiscale == "full" else scale
        shared = self._level(level)
        depth = self.view.depth(upsample(self.sigmoids[scale], shared.target.image.shape[-2:]))
        # The comparison keeps no scale: that would be a circle of references, which frees the graph's memory late.
        return ScaleComparison(self, scale, shared, depth, scale_K(self.K_b33, 0.5**level))

    def _level(self, level: int) -> Level:
        if level not in self._levels:
            view, options = self.view, self.options
            target = Target(image_pyramid(view.target_b3hw, [level])[level], options.ssim > 0)
            sources = image_pyramid(view.sources_bs3hw.flatten(0, 1), [level])[level]
            sources = sources.reshape(*view.sources_bs3hw.shape[:2], *sources.shape[1:])
            wanted = options.automask or options.report_identity
            identity = unwarped_errors(sources, target, options.ssim) if wanted else None
            self._levels[level] = Level(target, sources, identity)
        return self._levels[level]


@dataclass(frozen=True)
class ScaleComparison:
    """One scale of a view: what the loss terms look at.

    Warped images, pixels and z are made when a term first asks for them.
    """

    whole: Comparison  # of all scales
    scale: int
    level: Level
    depth_b1hw: Tensor  # of the target's camera, at the size that is compared
    K_b33: Tensor  # of target and sources, in the pixels of that size
    _shared: dict[Callable[..., Any], Any] = field(default_factory=dict)

    @property
    def sigmoid_b1hw(self) -> Tensor:
        """The sigmoid of this scale, at its own size."""
        return self.whole.sigmoids[self.scale]

    @property
    def image_b3hw(self) -> Tensor:
        """The target at the sigmoid's size."""
        return self.whole.images[self.scale]

    @property
    def warped(self) -> list[Tensor]:
        """The sources seen from the target, (B, 3, h, w) each."""
        return self.once(_warp)

    @property
    def pixels(self) -> list[Tensor]:
        """Where the target's pixels land in each source, (B, h, w, 2)."""
        return [pixels for pixels, _ in self.once(_project)]

    @property
    def z(self) -> list[Tensor]:
        """The target's depth in each source's camera, (B, 1, h, w)."""
        return [z for _, z in self.once(_project)]

    def resized(self, map_bchw: Tensor) -> Tensor:
        """A map of this scale's size at the size that is compared."""
        return upsample(map_bchw, self.level.target.image.shape[-2:])

    def once(self, function: Callable[[ScaleComparison], T]) -> T:
        """`function` of this scale, computed once however many ask for it."""
        if function not in self._shared:
            self._shared[function] = function(self)
        value: T = self._shared[function]
        return value

    def error(self, weights: Sequence[Tensor]) -> PhotometricError:
        """The error of each pixel: the minimum over sources, warped and unwarped, or what the options say.

        `weights`: maps (B, S, h, w) that the warped sources' errors are multiplied by, one after the other.
        """
        options, identity = self.whole.options, self.level.identity_bshw
        errors = self._errors()
        for weight in weights:
            errors = errors * weight
        if options.reprojection == "mean":
            errors = errors.mean(1, keepdim=True)
            identity = None if identity is None else identity.mean(1, keepdim=True)
        error, chosen = self._minimum(errors, identity if options.automask else None)
        means = {"warped": errors.detach().amin(1).mean()} if self.scale == 0 else {}
        if self.scale == 0 and identity is not None:
            means["identity"] = identity.amin(1).mean()
        return PhotometricError(error, chosen, means)

    def _errors(self) -> Tensor:
        options, level = self.whole.options, self.level
        if not options.fused:
            return torch.cat([photometric_error(image, level.target, options.ssim) for image in self.warped], 1)
        motions = self.whole.prediction.source_T_target_bs44
        return reprojection_errors(
            self.depth_b1hw,
            self.K_b33,
            motions,
            level.sources_bs3hw,
            level.target,
            ssim_weight=options.ssim,
            align_corners=options.align_corners,
        )

    def _minimum(self, errors_bshw: Tensor, identity_bshw: Tensor | None) -> tuple[Tensor, Tensor | None]:
        warped = errors_bshw.amin(1) if errors_bshw.shape[1] > 1 else errors_bshw[:, 0]
        if identity_bshw is None:
            return warped, None
        tie_noise = self.whole.options.tie_noise
        noise = torch.randn_like(identity_bshw) * tie_noise if tie_noise else 0.0
        unwarped = (identity_bshw + noise).amin(1)
        return torch.minimum(warped, unwarped), (warped.detach() < unwarped).float()


def _project(scale: ScaleComparison) -> list[tuple[Tensor, Tensor]]:
    points = backproject(scale.depth_b1hw, scale.K_b33)
    motions = scale.whole.prediction.source_T_target_bs44.unbind(1)
    return [project(points, scale.K_b33, motion) for motion in motions]


def _warp(scale: ScaleComparison) -> list[Tensor]:
    aligned = scale.whole.options.align_corners
    sources = scale.level.sources_bs3hw.unbind(1)
    return [sample_pixels(source, pixels, aligned) for source, pixels in zip(sources, scale.pixels, strict=True)]
