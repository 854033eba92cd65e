"""The predictive mask: the network says which pixels of a source the others should not explain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mdtk.losses.photometric import ScaleComparison
from mdtk.losses.terms import LOSS_TERMS, Contribution, LossTerm


@LOSS_TERMS.register("predictive_mask")
@dataclass(frozen=True)
class PredictiveMask(LossTerm):
    """The mask weighs the errors, and is pulled towards 1, or explaining nothing at all would be the best (Zhou et al.
    2017). It needs a network that predicts it (MODEL.PREDICTIVE_MASK)."""

    weight: float = 0.2

    def error_weight(self, scale: ScaleComparison) -> Tensor:
        return _mask(scale)

    def of_scale(self, scale: ScaleComparison) -> Sequence[Contribution]:
        mask = _mask(scale)
        return [Contribution(self.weight, F.binary_cross_entropy(mask, torch.ones_like(mask)))]


def _mask(scale: ScaleComparison) -> Tensor:
    masks = scale.whole.prediction.masks
    assert masks is not None
    return scale.resized(masks[scale.scale])
