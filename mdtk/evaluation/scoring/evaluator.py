"""The second loop of an evaluation: predictions and ground truth, joined by name, become rows and means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol as Interface
from typing import TypeVar

import numpy as np

from mdtk.core.errors import MdtkError
from mdtk.evaluation.scoring.alignment import median as median_of
from mdtk.evaluation.scoring.protocols import Protocol
from mdtk.evaluation.scoring.score import Pair, Row, ScaleMode, pair, pair_ratio, score

MODEL = "model"  # label of the predictor that is evaluated, whatever it is; the baseline predictors have others
GroundTruth = Iterable[tuple[int, str, np.ndarray]]  # (place in the list, name, depth (H, W) in metres)
DEFAULT_SCALE = ScaleMode()
T = TypeVar("T")


class Gather(Interface):
    """Runs a function that lists this process's items, and gives the items of all processes."""

    def __call__(self, make: Callable[[], list[T]]) -> list[T]: ...


def alone(make: Callable[[], list[T]]) -> list[T]:
    """The `Gather` of one process."""
    return make()


@dataclass(frozen=True)
class Candidate:
    """A predictor's output: name → scaled disparity (h, w), 1/depth, and what is done about its scale."""

    predictions: Mapping[str, np.ndarray]
    scale: ScaleMode


@dataclass(frozen=True)
class Evaluation:
    """The result of one predictor under one protocol: one row per image, in the order of the list."""

    protocol: Protocol
    predictor: str
    scale: ScaleMode
    rows: tuple[Row, ...]
    empty: tuple[str, ...] = ()  # images left out because no ground-truth pixel is valid
    provenance: dict[str, object] = field(default_factory=dict)  # checkpoint, versions, list, image format …

    @property
    def means(self) -> dict[str, float]:
        """Each metric's mean over images."""
        return {name: float(np.mean([row.metrics[name] for row in self.rows])) for name in self.rows[0].metrics}

    @property
    def valid_pixels(self) -> int:
        """Valid pixels of all images."""
        return sum(row.valid_pixels for row in self.rows)

    @property
    def ratio_median(self) -> float:
        """The median over images of the scale that alignment chose."""
        return median_of(np.array([row.scale for row in self.rows]), self.protocol.median)

    @property
    def ratio_spread(self) -> float:
        """std(scale / median scale) over images, with the protocol's ddof; 0 where there are too few images for it."""
        scales = np.array([row.scale for row in self.rows])
        if scales.size <= self.protocol.ratio_ddof:
            return 0.0
        return float(np.std(scales / self.ratio_median, ddof=self.protocol.ratio_ddof))


def evaluate(
    protocol: Protocol,
    predictions: Mapping[str, np.ndarray],
    ground_truth: GroundTruth,
    scale: ScaleMode = DEFAULT_SCALE,
    skip_empty: bool = False,
) -> Evaluation:
    """Scores `predictions` (name → scaled disparity (h, w), 1/depth) under `protocol`.

    `ground_truth` yields (index, name, depth) and is gone through twice with the alignment global_median, so it must be
    a collection then. A name without prediction is an error that names it, and so is an image without a valid pixel,
    unless `skip_empty` leaves such images out (their names are kept).
    """
    return evaluate_all(protocol, {MODEL: Candidate(predictions, scale)}, ground_truth, skip_empty)[MODEL]


def evaluate_all(
    protocol: Protocol,
    candidates: Mapping[str, Candidate],
    ground_truth: GroundTruth,
    skip_empty: bool = False,
    gather: Gather = alone,
) -> dict[str, Evaluation]:
    """Several predictors under one protocol; the ground truth is read once for all of them. See `evaluate`.

    `gather` joins the rows of several processes, each with its part of the ground truth: `sharding.together`.
    """
    ratios = _global_ratios(protocol, candidates, ground_truth, skip_empty, gather)

    def rows_here() -> list[tuple[str, Row]]:
        found = []
        for index, name, pairs in _pairs(protocol, candidates, ground_truth, skip_empty):
            for label, both in pairs.items():
                alignment = candidates[label].scale.alignment
                found.append((label, score(protocol, index, name, both, alignment, ratios.get(label, 1.0))))
        return found

    rows = gather(rows_here)
    by_label = {label: [row for owner, row in rows if owner == label] for label in candidates}
    return {
        label: Evaluation(protocol, label, candidate.scale, *_in_order(protocol, by_label[label]))
        for label, candidate in candidates.items()
    }


def _pairs(
    protocol: Protocol, candidates: Mapping[str, Candidate], ground_truth: GroundTruth, skip_empty: bool
) -> Iterator[tuple[int, str, dict[str, Pair]]]:
    for index, name, depth_gt in ground_truth:
        pairs = {}
        for label, candidate in candidates.items():
            if name not in candidate.predictions:
                raise MdtkError(f"{protocol.key}: no prediction for {name}; predict every image of {protocol.split}")
            pairs[label] = pair(protocol, name, candidate.predictions[name], depth_gt, candidate.scale.factor)
            if not (pairs[label].gt.size or skip_empty):
                raise MdtkError(_no_valid_pixel(protocol, name))
        yield index, name, pairs


def _no_valid_pixel(protocol: Protocol, name: str) -> str:
    return (
        f"{protocol.key}: the ground truth of {name} has no valid pixel ({protocol.describe()['valid_pixels']}); "
        "repair it, take it off the list, or pass --skip_empty"
    )


def _global_ratios(
    protocol: Protocol,
    candidates: Mapping[str, Candidate],
    ground_truth: GroundTruth,
    skip_empty: bool,
    gather: Gather,
) -> dict[str, float]:
    """One ratio for each predictor whose alignment is global_median."""
    asked = {
        label: candidate for label, candidate in candidates.items() if candidate.scale.alignment == "global_median"
    }
    if not asked:
        return {}

    def ratios_here() -> list[tuple[str, float]]:
        return [
            (label, pair_ratio(protocol, both))
            for _, _, pairs in _pairs(protocol, asked, ground_truth, skip_empty)
            for label, both in pairs.items()
            if both.gt.size
        ]

    found = gather(ratios_here)
    return {label: _median_ratio(protocol, [value for owner, value in found if owner == label]) for label in asked}


def _median_ratio(protocol: Protocol, ratios: Sequence[float]) -> float:
    if not ratios:
        raise MdtkError(f"{protocol.key}: no image with a valid ground-truth pixel; check the data")
    return median_of(np.array(ratios), protocol.median)


def _in_order(protocol: Protocol, rows: Sequence[Row]) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """Rows with valid pixels in the order of the list, and the names of the others."""
    ordered = sorted(rows, key=lambda row: row.index)
    if len({row.index for row in ordered}) != len(ordered):
        raise RuntimeError(f"{protocol.key}: an image was evaluated twice; the shards overlap")
    scored = tuple(row for row in ordered if row.valid_pixels)
    if not scored:
        raise MdtkError(f"{protocol.key}: nothing to evaluate; check the list {protocol.split} and its ground truth")
    return scored, tuple(row.name for row in ordered if not row.valid_pixels)
