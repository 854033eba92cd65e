"""Metrics of neighbouring frames, added to the rows of an evaluation: the temporal alignment error."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from mdtk.datasets.reader import DatasetReader
from mdtk.evaluation.scoring.alignment import SCOPES, Alignment
from mdtk.evaluation.scoring.evaluator import Candidate, Evaluation
from mdtk.evaluation.scoring.protocols import Protocol
from mdtk.evaluation.scoring.score import Row, aligned_depth
from mdtk.evaluation.scoring.temporal import TAE, TimedDepth, pair_error
from mdtk.evaluation.sharding import together

Intrinsics = Callable[[int, np.ndarray, Protocol], np.ndarray]  # (index, whole truth, protocol) → K (3, 3)


def check_sequence(reader: DatasetReader) -> None:
    """Raises `MdtkError`, before anything is predicted, where the temporal alignment error cannot be computed."""
    reader.pose(0)


def scope_note(alignment: Alignment) -> str:
    """What the alignment's scope means for the temporal alignment error, whose published one is over a recording."""
    over = SCOPES[alignment.scope]
    if alignment.scope == "image" and alignment.fit != "none":
        return f"scale is fitted to {over}, so its flicker is not in tae; the published one fits each recording once"
    return "depths are taken as metres" if alignment.fit == "none" else f"one scale for {over}"


def with_temporal_error(
    evaluation: Evaluation,
    candidate: Candidate,
    reader: DatasetReader,
    intrinsics: Intrinsics,
    batches: Sequence[Sequence[int]],
) -> Evaluation:
    """The evaluation with `tae` in each row: its pair error with the next frame of its recording, NaN for the last.

    Neighbours are neighbours of the list. The depths are aligned and clamped as they were scored; pixels outside the
    protocol's crop do not count. `batches` are this process's; each process computes the pairs whose first frame it
    has, and gets the second one's prediction where another process made it. Raises `MdtkError` for a frame without
    pose.
    """
    here = {index for batch in batches for index in batch}
    pairs = [pair for pair in itertools.pairwise(evaluation.rows) if pair[0].recording == pair[1].recording]
    maps = candidate.predictions
    shared = dict(
        together(lambda: [(b.name, maps[b.name]) for a, b in pairs if b.index in here and a.index not in here])
    )

    def timed(row: Row) -> TimedDepth:
        values = maps[row.name] if row.index in here else shared[row.name]
        return _timed(evaluation, candidate.kind, values, reader, intrinsics, row)

    def errors_here() -> list[tuple[int, float]]:
        found, before = [], None
        for a, b in pairs:
            if a.index in here:
                first = before[1] if before and before[0] == a.index else timed(a)
                before = (b.index, timed(b))
                found.append((a.index, pair_error(first, before[1])))
        return found

    errors = dict(together(errors_here))
    return dataclasses.replace(evaluation, rows=tuple(_with(row, errors) for row in evaluation.rows))


def _with(row: Row, errors: Mapping[int, float]) -> Row:
    return dataclasses.replace(row, metrics=row.metrics | {TAE: errors.get(row.index, float("nan"))})


def _timed(
    evaluation: Evaluation, kind: str, values: np.ndarray, reader: DatasetReader, intrinsics: Intrinsics, row: Row
) -> TimedDepth:
    protocol = evaluation.protocol
    depth = aligned_depth(protocol, evaluation.scale, row, values, kind)
    depth = np.where(np.isfinite(depth), depth, 0.0)
    if protocol.crop:
        inside = np.zeros(depth.shape, bool)
        inside[protocol.crop.slices(*depth.shape)] = True
        depth = np.where(inside, depth, 0.0)
    whole = np.empty(row.full or depth.shape, np.bool_)  # only its size is asked for
    return TimedDepth(depth, reader.pose(row.index), intrinsics(row.index, whole, protocol))
