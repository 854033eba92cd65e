"""Loop 2 of an evaluation: predictions and ground truth, joined by name → rows, means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mdtk.errors import MdtkError
from mdtk.evaluation.alignment import median as median_of
from mdtk.evaluation.protocols import Protocol
from mdtk.evaluation.scoring import Pair, Row, ScaleMode, pair, pair_ratio, score

GroundTruth = Iterable[tuple[int, str, np.ndarray]]  # (place in the list, name, depth (H, W) in metres)
Gather = Callable[[list], list]


def gather_rows(rows: list) -> list:
    """The rows of all processes, on every process."""
    from mdtk.engine import distributed  # here: scoring alone needs no process group

    return distributed.gather_objects(rows)


@dataclass(frozen=True)
class Options:
    """How predictions are scored, apart from the protocol."""

    scale: ScaleMode = field(default_factory=ScaleMode)
    skip_empty: bool = False  # leave out images without a valid pixel (their names are kept), instead of refusing
    gather: Gather = list  # rows of this process → rows of all; `gather_rows` when the images are sharded


@dataclass(frozen=True)
class Evaluation:
    """The result of one predictor under one protocol: a row an image, in the order of the list."""

    protocol: Protocol
    predictor: str
    scale: ScaleMode
    rows: tuple[Row, ...]
    empty: tuple[str, ...] = ()  # images left out because no ground-truth pixel is valid
    facts: dict = field(default_factory=dict)  # where it comes from: checkpoint, versions, list, image format …

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
        """std(scale / median scale) over images; 0 where one image gives none."""
        scales = np.array([row.scale for row in self.rows])
        if scales.size <= self.protocol.ratio_ddof:
            return 0.0
        return float(np.std(scales / self.ratio_median, ddof=self.protocol.ratio_ddof))


def evaluate(
    protocol: Protocol,
    predictions: Mapping[str, np.ndarray],
    ground_truth: GroundTruth,
    options: Options | None = None,
    predictor: str = "model",
) -> Evaluation:
    """Scores `predictions` (name → scaled disparity (h, w), 1/depth) under `protocol`.

    `ground_truth` yields (index, name, depth) and is gone through twice with the alignment global_median, so it must be
    a collection then. A name without prediction, or an image without a valid pixel, is an error that names it.
    """
    return evaluate_all(protocol, {predictor: predictions}, ground_truth, options)[predictor]


def evaluate_all(
    protocol: Protocol,
    predictors: Mapping[str, Mapping[str, np.ndarray]],
    ground_truth: GroundTruth,
    options: Options | None = None,
) -> dict[str, Evaluation]:
    """Several predictors under one protocol; the ground truth is read once for all of them. See `evaluate`."""
    options = options or Options()
    scales = {label: options.scale for label in predictors}
    ratios = dict.fromkeys(predictors, 1.0)
    if options.scale.alignment == "global_median":
        ratios = _global_ratios(protocol, predictors, ground_truth, options)
    rows: dict[str, list[Row]] = {label: [] for label in predictors}
    empty: list[tuple[int, str]] = []
    for index, name, pairs in _pairs(protocol, predictors, ground_truth, options):
        if pairs is None:
            empty.append((index, name))
            continue
        for label, both in pairs.items():
            rows[label].append(score(protocol, index, name, both, options.scale.alignment, ratios[label]))
    left_out = tuple(name for _, name in sorted(options.gather(empty)))
    return {
        label: Evaluation(protocol, label, scales[label], _in_order(protocol, options.gather(rows[label])), left_out)
        for label in predictors
    }


def _pairs(
    protocol: Protocol, predictors: Mapping[str, Mapping[str, np.ndarray]], ground_truth: GroundTruth, options: Options
) -> Iterable[tuple[int, str, dict[str, Pair] | None]]:
    for index, name, depth_gt in ground_truth:
        pairs = {}
        for label, predictions in predictors.items():
            if name not in predictions:
                raise MdtkError(f"{protocol.key}: no prediction for {name}; predict every image of {protocol.split}")
            pairs[label] = pair(protocol, name, predictions[name], depth_gt, options.scale.factor)
        if all(both.gt.size for both in pairs.values()):
            yield index, name, pairs
        elif options.skip_empty:
            yield index, name, None
        else:
            raise MdtkError(
                f"{protocol.key}: the ground truth of {name} has no valid pixel ({protocol.words()['valid_pixels']}); "
                "repair it, take it off the list, or pass --skip_empty"
            )


def _global_ratios(
    protocol: Protocol, predictors: Mapping[str, Mapping[str, np.ndarray]], ground_truth: GroundTruth, options: Options
) -> dict[str, float]:
    found: dict[str, list[float]] = {label: [] for label in predictors}
    for _, _, pairs in _pairs(protocol, predictors, ground_truth, options):
        for label, both in (pairs or {}).items():
            found[label].append(pair_ratio(protocol, both))
    return {label: _global_ratio(protocol, options.gather(values)) for label, values in found.items()}


def _global_ratio(protocol: Protocol, ratios: Sequence[float]) -> float:
    if not ratios:
        raise MdtkError(f"{protocol.key}: no image with a valid ground-truth pixel; check the data")
    return median_of(np.array(sorted(ratios)), protocol.median)


def _in_order(protocol: Protocol, rows: Sequence[Row]) -> tuple[Row, ...]:
    ordered = sorted(rows, key=lambda row: row.index)
    if not ordered:
        raise MdtkError(f"{protocol.key}: nothing was evaluated; check the list {protocol.split} and the data")
    if len({row.index for row in ordered}) != len(ordered):
        raise RuntimeError(f"{protocol.key}: an image was evaluated twice; the shards overlap")
    return tuple(ordered)
