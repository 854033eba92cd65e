"""Depth consistency between a further view and the whole image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mdtk.losses.per_pixel import log_depth_difference, scale_invariant_error
from mdtk.losses.photometric import Comparison
from mdtk.losses.terms import LOSS_TERMS, Contribution, LossTerm


@LOSS_TERMS.register("view_consistency")
@dataclass(frozen=True)
class ViewConsistency(LossTerm):
    """Scale-invariant log error between a view's depth and the whole image's (BDEdepth's consistency loss)."""

    weight: float = 0.07

    def of_batch(self, comparisons: Sequence[Comparison]) -> Sequence[Contribution]:
        if len(comparisons) < 2:
            return ()
        depths = [comparison.view.depth(comparison.sigmoids[0]) for comparison in comparisons]
        found = []
        for comparison, depth in zip(comparisons[1:], depths[1:], strict=True):
            difference = log_depth_difference(depth, comparison.view.from_whole(depths[0]))
            error = scale_invariant_error(difference.flatten(1)).mean()
            found.append(Contribution(self.weight, error, f"consistency/{comparison.view.name}"))
        return found
