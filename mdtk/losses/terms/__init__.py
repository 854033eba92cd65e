"""Loss terms: what joins the photometric error, one module each.

A term is registered with `@LOSS_TERMS.register("name")` and is a frozen dataclass of its options. It returns what it
adds, as `Contribution`s; the objective sums them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

from torch import Tensor

from mdtk.core.registry import NamedRegistry
from mdtk.losses.photometric import Comparison, ScaleComparison


class Contribution(NamedTuple):
    """weight × value is added to the loss; with a label the value itself is logged under it."""

    weight: float
    value: Tensor  # a scalar
    label: str = ""


class LossTerm:
    """One term of the loss. Every method defaults to adding nothing."""

    name: ClassVar[str]  # set by the registry

    def error_weight(self, scale: ScaleComparison) -> Tensor | None:
        """What the photometric errors (B, S, h, w) of the warped sources are multiplied by; None: nothing."""
        return None

    def of_scale(self, scale: ScaleComparison) -> Sequence[Contribution]:
        """Added to the loss of one scale of one view; the scales' losses are averaged, then the views'."""
        return ()

    def of_view(self, scales: Mapping[int, ScaleComparison]) -> Sequence[Contribution]:
        """Added to the loss of a view, once however many scales it has; the views' losses are averaged."""
        return ()

    def of_batch(self, comparisons: Sequence[Comparison]) -> Sequence[Contribution]:
        """Added to the mean of the views' losses. One comparison a view, the whole image's first."""
        return ()


LOSS_TERMS: NamedRegistry[LossTerm] = NamedRegistry("loss term", home="mdtk.losses.terms")
