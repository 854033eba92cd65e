"""From what the networks saw and said to one scalar: the photometric error and the terms that join it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from yacs.config import CfgNode

from mdtk.config.sections import LossSection, ModelSection, ViewsSection
from mdtk.core.errors import MdtkError
from mdtk.core.structures import Inputs, Prediction
from mdtk.losses.photometric import Comparison, PhotometricError, PhotometricOptions, ScaleComparison
from mdtk.losses.terms import LOSS_TERMS, Contribution, LossTerm
from mdtk.losses.terms.geometry_consistency import GeometryConsistency
from mdtk.losses.terms.predictive_mask import PredictiveMask
from mdtk.losses.terms.smoothness import Smoothness
from mdtk.losses.terms.view_consistency import ViewConsistency


@dataclass
class Losses:
    """Named scalars (device tensors, never read here) and, for scale 0 of the whole image, what can be looked at.

    The scalars are for the log; `total` alone is descended.
    """

    total: Tensor
    scalars: dict[str, Tensor]
    pictures: dict[str, Tensor] = field(default_factory=dict)

    def detach(self) -> Losses:
        """The same numbers without the graph behind them."""
        scalars = {name: value.detach() for name, value in self.scalars.items()}
        return Losses(self.total.detach(), scalars, self.pictures)


@dataclass(frozen=True)
class Objective:
    """`losses = objective(inputs, prediction)`: the mean over the views of the mean over the scales of photometric
    error and `terms` (Godard et al. 2019, eq. 1-5), and the terms that look at all views together."""

    photometric: PhotometricOptions = field(default_factory=PhotometricOptions)
    terms: tuple[LossTerm, ...] = ()

    def with_photometric(self, **changes: Any) -> Objective:
        """The same objective with other `PhotometricOptions`, each by its name."""
        return dataclasses.replace(self, photometric=dataclasses.replace(self.photometric, **changes))

    def __call__(self, inputs: Inputs, prediction: Prediction, pictures: bool = False) -> Losses:
        """The losses of a batch; `pictures`: also what can be looked at."""
        result = Losses(total=inputs.views[0].depth_range_b2.new_zeros(()), scalars={})
        comparisons: list[Comparison] = []
        for view, sigmoids in zip(inputs.views, prediction.sigmoids, strict=True):
            restored = {scale: view.restore(sigmoid, scale) for scale, sigmoid in sigmoids.items()}
            comparison = Comparison(view, prediction, restored, self.photometric)
            loss = self._view_loss(comparison, result, pictures and not comparisons)
            result.total = result.total + loss / len(inputs.views)
            comparisons.append(comparison)
        for term in self.terms:
            result.total = _add(result.total, term.of_batch(comparisons), result)
        if prediction.K_b33 is not None:
            focal = prediction.K_b33.diagonal(dim1=1, dim2=2).mean(0)
            result.scalars |= {"intrinsics/fx": focal[0], "intrinsics/fy": focal[1]}
        result.scalars["total"] = result.total
        return result

    def _view_loss(self, comparison: Comparison, result: Losses, pictures: bool) -> Tensor:
        total = result.total.new_zeros(())
        scales: dict[int, ScaleComparison] = {}
        for number in comparison.sigmoids:
            scale = scales[number] = comparison.compare(number)
            weights = (term.error_weight(scale) for term in self.terms)
            error = scale.error([weight for weight in weights if weight is not None])
            loss = error.error_bhw.mean()
            for term in self.terms:
                loss = _add(loss, term.of_scale(scale), result)
            name = comparison.view.name
            result.scalars |= {f"{name}/{key}": value for key, value in error.means.items()}
            result.scalars[f"{name}/{number}"] = loss
            total = total + loss / len(comparison.sigmoids)
            if pictures and number == 0:
                result.pictures = _pictures(scale, error)
        for term in self.terms:
            total = _add(total, term.of_view(scales), result)
        return total


def _add(total: Tensor, contributions: Iterable[Contribution], result: Losses) -> Tensor:
    """The total with the contributions added; those with a label are noted in `result`."""
    for weight, value, label in contributions:
        total = total + weight * value
        if label:
            result.scalars[label] = value
    return total


def _pictures(scale: ScaleComparison, error: PhotometricError) -> dict[str, Tensor]:
    found = {"target": scale.whole.view.target_b3hw, "sigmoid": scale.sigmoid_b1hw.detach()}
    found["warped"] = torch.stack(scale.warped, 1).detach()
    return found if error.chosen_bhw is None else found | {"automask": error.chosen_bhw}


def build_objective(cfg: CfgNode) -> Objective:
    """What the LOSS keys say."""
    loss = LossSection.of(cfg)
    terms: list[LossTerm] = []
    if loss.geometry_consistency:
        terms.append(GeometryConsistency(loss.geometry_consistency))
    if loss.smoothness:
        terms.append(Smoothness(loss.smoothness))
    if ModelSection.of(cfg).predictive_mask:
        if ViewsSection.of(cfg).others:
            raise MdtkError("MODEL.PREDICTIVE_MASK knows the whole image only; set VIEWS.OTHERS []")
        terms.append(PredictiveMask(loss.mask_weight))
    if loss.consistency:
        terms.append(ViewConsistency(loss.consistency))
    terms += (LOSS_TERMS.build(mapping, "LOSS.OTHERS") for mapping in loss.others)
    photometric = PhotometricOptions(
        ssim=loss.ssim,
        reprojection=loss.reprojection,
        automask=loss.automask,
        tie_noise=loss.tie_noise,
        multiscale=loss.multiscale,
        align_corners=loss.align_corners,
    )
    return Objective(photometric, tuple(terms))
