"""The second loop of an evaluation: predictions and ground truth, joined by name, become rows and means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol as Interface
from typing import TypeVar

import numpy as np

from mdtk.core.errors import MdtkError
from mdtk.evaluation.scoring.alignment import check_kind, combine, summarise
from mdtk.evaluation.scoring.fits import Solution, Summary
from mdtk.evaluation.scoring.fits import median as median_of
from mdtk.evaluation.scoring.map_metrics import MAP_METRICS, Maps
from mdtk.evaluation.scoring.metrics import METRICS
from mdtk.evaluation.scoring.protocols import Protocol
from mdtk.evaluation.scoring.score import Pair, Row, ScaleMode, aligned_depth, pair, score
from mdtk.evaluation.scoring.temporal import TAE

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
    """A predictor's output: name → map (h, w) of `kind`, and what is done about its scale.

    `kind` is disparity (1 / depth), or affine_disparity or affine_depth, which are known up to scale and shift alone.
    """

    predictions: Mapping[str, np.ndarray]
    scale: ScaleMode
    kind: str = "disparity"


@dataclass(frozen=True)
class MapChoice:
    """The metrics on maps that are computed, and where K comes from."""

    names: tuple[str, ...]
    intrinsics: Callable[[int, np.ndarray, Protocol], np.ndarray]  # (index, whole truth, protocol) → its K (3, 3)

    def __post_init__(self) -> None:
        for name in self.names:
            MAP_METRICS.find(name, "--map_metrics")


@dataclass(frozen=True)
class Evaluation:
    """The result of one predictor under one protocol: one row per image, in the order of the list."""

    protocol: Protocol
    predictor: str
    scale: ScaleMode
    rows: tuple[Row, ...]
    kind: str = "disparity"  # what the predictions were; see `Candidate`
    empty: tuple[str, ...] = ()  # images left out because no ground-truth pixel is valid
    provenance: dict[str, object] = field(default_factory=dict)  # checkpoint, versions, list, image format …

    @property
    def means(self) -> dict[str, float]:
        """Each metric's mean over images; a metric on maps may lack a value (NaN) on some, or on all of them.

        The temporal alignment error is the mean over recordings of the means over their pairs, as published.
        """
        values = {name: np.array([row.metrics[name] for row in self.rows]) for name in self.rows[0].metrics}
        if TAE in values:
            recordings = np.array([row.recording for row in self.rows])
            several = [_known_mean(values[TAE][recordings == one]) for one in dict.fromkeys(recordings)]
            values[TAE] = np.array(several)
        return {
            name: float(np.mean(one)) if name in METRICS else _known_mean(np.asarray(one))
            for name, one in values.items()
        }

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
        """std(scale / median scale) over images, with the protocol's ddof; 0 where there are too few images for it.

        NaN where the median scale is 0: the alignment found nothing to scale in most predictions.
        """
        scales = np.array([row.scale for row in self.rows])
        if scales.size <= self.protocol.ratio_ddof:
            return 0.0
        if self.ratio_median == 0:
            return float("nan")
        return float(np.std(scales / self.ratio_median, ddof=self.protocol.ratio_ddof))


def _known_mean(values: np.ndarray) -> float:
    """The mean of the values that are known, NaN where none is."""
    known = values[~np.isnan(values)]
    return float(np.mean(known)) if known.size else float("nan")


def evaluate(
    protocol: Protocol,
    predictions: Mapping[str, np.ndarray],
    ground_truth: GroundTruth,
    scale: ScaleMode = DEFAULT_SCALE,
    skip_empty: bool = False,
    kind: str = "disparity",
    recording: Callable[[int], str] = str,
) -> Evaluation:
    """Scores `predictions` (name → map (h, w) of `kind`, see `Candidate`) under `protocol`.

    `ground_truth` yields (index, name, depth) and is gone through twice where the alignment's scope is wider than the
    image, so it must be a collection then; `recording` gives the drive or scene of an index.
    A name without prediction is an error that names it, and so is an image without a valid pixel, unless `skip_empty`
    leaves such images out (their names are kept).
    """
    return evaluate_all(
        protocol, {MODEL: Candidate(predictions, scale, kind)}, ground_truth, skip_empty, recording=recording
    )[MODEL]


def evaluate_all(
    protocol: Protocol,
    candidates: Mapping[str, Candidate],
    ground_truth: GroundTruth,
    skip_empty: bool = False,
    gather: Gather = alone,
    recording: Callable[[int], str] = str,
    maps: MapChoice | None = None,
) -> dict[str, Evaluation]:
    """Several predictors under one protocol; the ground truth is read once for all of them. See `evaluate`.

    `gather` joins the rows of several processes, each with its part of the ground truth: `sharding.together`.
    """
    for candidate in candidates.values():
        check_kind(candidate.scale.row, candidate.kind)
    shared = _shared_fits(protocol, candidates, ground_truth, skip_empty, gather, recording)

    def rows_here() -> list[tuple[str, Row]]:
        found = []
        for index, name, depth_gt, pairs in _pairs(protocol, candidates, ground_truth, skip_empty):
            for label, both in pairs.items():
                scale, of = candidates[label].scale, recording(index)
                solution = shared.get((label, _group(scale, of)))
                row = score(protocol, index, name, both, scale.alignment, solution, of)
                if maps and row.valid_pixels:
                    row = _with_maps(protocol, row, candidates[label], depth_gt, maps)
                found.append((label, row))
        return found

    rows = gather(rows_here)
    by_label = {label: [row for owner, row in rows if owner == label] for label in candidates}
    return {label: _evaluation(protocol, label, candidate, by_label[label]) for label, candidate in candidates.items()}


def _pairs(
    protocol: Protocol, candidates: Mapping[str, Candidate], ground_truth: GroundTruth, skip_empty: bool
) -> Iterator[tuple[int, str, np.ndarray, dict[str, Pair]]]:
    for index, name, depth_gt in ground_truth:
        pairs = {}
        for label, candidate in candidates.items():
            if name not in candidate.predictions:
                raise MdtkError(f"{protocol.key}: no prediction for {name}; predict every image of {protocol.split}")
            pairs[label] = pair(
                protocol, name, candidate.predictions[name], depth_gt, candidate.scale.factor, candidate.kind
            )
            if not (pairs[label].gt.size or skip_empty):
                raise MdtkError(_no_valid_pixel(protocol, name))
        yield index, name, depth_gt, pairs


def _with_maps(protocol: Protocol, row: Row, candidate: Candidate, depth_gt: np.ndarray, maps: MapChoice) -> Row:
    """The row with the metrics on maps that are asked for."""
    gt = protocol.cut(depth_gt, row.name).astype(np.float64)
    pred = aligned_depth(protocol, candidate.scale, row, candidate.predictions[row.name], candidate.kind)
    pred = np.where(np.isfinite(pred), pred, 1e6)  # infinitely far is far; a cloud has no place for it
    needed = any(MAP_METRICS[name].needs_camera for name in maps.names)  # K may be unknown
    K = maps.intrinsics(row.index, depth_gt, protocol) if needed else np.eye(3)
    seen = Maps(gt, pred, protocol.valid(gt), K)
    extra = {name: value for one in maps.names for name, value in MAP_METRICS[one].function(seen).items()}
    return replace(row, metrics=row.metrics | extra)


def _no_valid_pixel(protocol: Protocol, name: str) -> str:
    return (
        f"{protocol.key}: the ground truth of {name} has no valid pixel ({protocol.describe()['valid_pixels']}); "
        "repair it, take it off the list, or pass --skip_empty"
    )


def _group(scale: ScaleMode, recording: str) -> str:
    """What one scale and shift serve: the recording, or everything."""
    return recording if scale.row.scope == "sequence" else ""


def _shared_fits(
    protocol: Protocol,
    candidates: Mapping[str, Candidate],
    ground_truth: GroundTruth,
    skip_empty: bool,
    gather: Gather,
    recording: Callable[[int], str],
) -> dict[tuple[str, str], Solution]:
    """(label, group) → one scale and shift, for each predictor whose alignment is over more than an image."""
    asked = {label: candidate for label, candidate in candidates.items() if candidate.scale.row.scope != "image"}
    if not asked:
        return {}

    def summaries_here() -> list[tuple[str, str, int, Summary]]:
        found = []
        for index, _, _, pairs in _pairs(protocol, asked, ground_truth, skip_empty):
            for label, both in pairs.items():
                scale = asked[label].scale
                if both.gt.size:
                    summary = summarise(scale.row, both.gt, both.pred, protocol.median, both.given)
                    found.append((label, _group(scale, recording(index)), index, summary))
        return found

    # In the order of the list, so that sums are the same to the last bit whatever the number of processes
    found = sorted(gather(summaries_here), key=lambda item: item[2])
    if not found:
        raise MdtkError(f"{protocol.key}: no image with a valid ground-truth pixel; check the data")
    groups: dict[tuple[str, str], list[Summary]] = {}
    for label, group, _, summary in found:
        groups.setdefault((label, group), []).append(summary)
    return {
        (label, group): combine(asked[label].scale.row, several, protocol.median)
        for (label, group), several in groups.items()
    }


def _evaluation(protocol: Protocol, label: str, candidate: Candidate, rows: Sequence[Row]) -> Evaluation:
    scored, empty = _in_order(protocol, rows)
    return Evaluation(protocol, label, candidate.scale, scored, candidate.kind, empty)


def _in_order(protocol: Protocol, rows: Sequence[Row]) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """Rows with valid pixels in the order of the list, and the names of the others."""
    ordered = sorted(rows, key=lambda row: row.index)
    if len({row.index for row in ordered}) != len(ordered):
        raise RuntimeError(f"{protocol.key}: an image was evaluated twice; the shards overlap")
    scored = tuple(row for row in ordered if row.valid_pixels)
    if not scored:
        raise MdtkError(f"{protocol.key}: nothing to evaluate; check the list {protocol.split} and its ground truth")
    return scored, tuple(row.name for row in ordered if not row.valid_pixels)
