"""Geometry consistency: the target's depth, carried into a source, agrees with the source's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mdtk.geometry.warp import in_view, sample_pixels
from mdtk.losses.per_pixel import geometry_difference
from mdtk.losses.photometric import ScaleComparison
from mdtk.losses.terms import LOSS_TERMS, Contribution, LossTerm


@LOSS_TERMS.register("geometry_consistency")
@dataclass(frozen=True)
class GeometryConsistency(LossTerm):
    """Bian et al. 2019 (SC-SfMLearner), at scale 0: the mean difference over what the sources see; photometric errors
    count for less where the depths differ. It needs the sources' depths (`Prediction.source_depths`)."""

    weight: float = 0.5

    def error_weight(self, scale: ScaleComparison) -> Tensor | None:
        if scale.scale != 0:
            return None
        difference, _ = scale.once(depth_differences)
        return 1 - difference.detach()

    def of_view(self, scales: Mapping[int, ScaleComparison]) -> Sequence[Contribution]:
        difference, seen = scales[0].once(depth_differences)
        mean = (difference * seen).sum() / seen.sum().clamp(min=1)
        return [Contribution(self.weight, mean, f"{scales[0].whole.view.name}/geometry")]


def depth_differences(scale: ScaleComparison) -> tuple[Tensor, Tensor]:
    """How far the depths are from one another, 0..1, and which pixels the source sees, both (B, S, h, w)."""
    source_depths = scale.whole.prediction.source_depths
    assert source_depths is not None
    differences, seen = [], []
    for depth, pixels, z in zip(source_depths, scale.pixels, scale.z, strict=True):
        sampled = sample_pixels(scale.whole.view.from_whole(depth), pixels, scale.whole.options.align_corners)
        differences.append(geometry_difference(z, sampled))
        seen.append((z > 0) & in_view(pixels, *z.shape[-2:]))
    return torch.cat(differences, 1), torch.cat(seen, 1)
