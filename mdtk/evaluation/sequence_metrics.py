"""Metrics of neighbouring frames, added to the rows of an evaluation: the temporal alignment error."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from mdtk.core import distributed
from mdtk.core.errors import MdtkError
from mdtk.datasets.reader import DatasetReader
from mdtk.evaluation.scoring.evaluator import Candidate, Evaluation
from mdtk.evaluation.scoring.protocols import Protocol
from mdtk.evaluation.scoring.score import Row, aligned_depth
from mdtk.evaluation.scoring.temporal import TAE, TimedDepth, pair_error

Intrinsics = Callable[[int, np.ndarray, Protocol], np.ndarray]  # (index, whole truth, protocol) → K (3, 3)


def check_sequence(reader: DatasetReader) -> None:
    """Raises `MdtkError`, before anything is predicted, where the temporal alignment error cannot be computed."""
    if distributed.world_size() > 1:
        raise MdtkError(f"--map_metrics {TAE} compares neighbouring predictions; run it in one process")
    reader.pose(0)


def with_temporal_error(
    evaluation: Evaluation, candidate: Candidate, reader: DatasetReader, intrinsics: Intrinsics
) -> Evaluation:
    """The evaluation with `tae` in each row: its pair error with the next frame of its recording, NaN for the last.

    Neighbours are neighbours of the list. The depths are aligned and clamped as they were scored; pixels outside the
    protocol's crop do not count. Raises `MdtkError` for a frame without pose.
    """
    rows: list[Row] = []
    before: tuple[Row, TimedDepth] | None = None
    for row in evaluation.rows:
        seen = _timed(evaluation, candidate, reader, intrinsics, row)
        if before is not None:
            error = pair_error(before[1], seen) if before[0].recording == row.recording else float("nan")
            rows.append(_with(before[0], error))
        before = (row, seen)
    if before is not None:
        rows.append(_with(before[0], float("nan")))
    return dataclasses.replace(evaluation, rows=tuple(rows))


def _with(row: Row, error: float) -> Row:
    return dataclasses.replace(row, metrics=row.metrics | {TAE: error})


def _timed(
    evaluation: Evaluation, candidate: Candidate, reader: DatasetReader, intrinsics: Intrinsics, row: Row
) -> TimedDepth:
    protocol = evaluation.protocol
    depth = aligned_depth(protocol, evaluation.scale, row, candidate.predictions[row.name], candidate.kind)
    depth = np.where(np.isfinite(depth), depth, 0.0)
    if protocol.crop:
        inside = np.zeros(depth.shape, bool)
        inside[protocol.crop.slices(*depth.shape)] = True
        depth = np.where(inside, depth, 0.0)
    whole = np.empty(row.full or depth.shape, np.bool_)  # only its size is asked for
    return TimedDepth(depth, reader.pose(row.index), intrinsics(row.index, whole, protocol))
