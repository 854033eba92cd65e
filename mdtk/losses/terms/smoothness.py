"""Edge-aware smoothness of the disparity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mdtk.losses.per_pixel import smoothness
from mdtk.losses.photometric import ScaleComparison
from mdtk.losses.terms import LOSS_TERMS, Contribution, LossTerm


@LOSS_TERMS.register("smoothness")
@dataclass(frozen=True)
class Smoothness(LossTerm):
    """Godard et al. 2019, eq. 3, weight / 2^scale at each scale."""

    weight: float = 1e-3

    def of_scale(self, scale: ScaleComparison) -> Sequence[Contribution]:
        along_x, along_y = smoothness(scale.sigmoid_b1hw, scale.image_b3hw)
        return [Contribution(self.weight / 2**scale.scale, along_x.mean() + along_y.mean())]
