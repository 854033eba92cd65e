"""Reading ground truth: the entries of an evaluation, and the training frames behind the baseline predictors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mdtk.core.errors import MdtkError
from mdtk.core.spacing import evenly_spaced
from mdtk.datasets.depth_files import depths_by_name
from mdtk.datasets.reader import DatasetReader
from mdtk.evaluation.baselines import Baselines, cell_depths, from_grids
from mdtk.inference.predict import read_in_order


class GroundTruthReader:
    """(index, name, depth) of the entries in `batches`, read by `workers`; goes through them anew each time."""

    def __init__(self, reader: DatasetReader, kind: str, batches: Sequence[Sequence[int]], workers: int = 0) -> None:
        self._reader, self._kind, self._batches, self._workers = reader, kind, batches, workers

    def __call__(self, index: int) -> tuple[int, str, np.ndarray]:
        return index, self._reader.name(index), self._reader.ground_truth(index, self._kind)

    def __iter__(self) -> Iterator[tuple[int, str, np.ndarray]]:
        for items in read_in_order(self, self._batches, self._workers, title=f"scoring {self._reader.key}"):
            yield from items


class StoredGroundTruth:
    """(index, name, depth) of the entries in `batches` from an exported file; `names` are all names of the list."""

    def __init__(self, path: str | Path, names: Sequence[str], batches: Sequence[Sequence[int]]) -> None:
        self._depths, self._names, self._batches = depths_by_name(path, names), names, batches

    def __iter__(self) -> Iterator[tuple[int, str, np.ndarray]]:
        for index in (index for batch in self._batches for index in batch):
            yield index, self._names[index], self._depths[self._names[index]]


class _TrainingTruth:
    """index → ground truth (H, W), or an error's text: KITTI lacks a few laser scans."""

    def __init__(self, reader: DatasetReader) -> None:
        self._reader = reader

    def __call__(self, index: int) -> np.ndarray | str:
        try:
            return self._reader.ground_truth(index)
        except MdtkError as error:
            return str(error)


def read_baselines(reader: DatasetReader, name: str, frames: int, workers: int) -> Baselines:
    """The baseline predictors from the ground truth of at most `frames` evenly spaced entries.

    Their grid is the ground truth's own, that of the first map, whatever the evaluated model's input size is. Entries
    without ground truth are left out; where none has any, the first error is the reason for leaving out the
    predictors. `name` says in the results which training data it was.
    """
    batches = [[index] for index in evenly_spaced(len(reader), frames)]
    grids: list[np.ndarray] = []
    errors: list[str] = []
    truths = read_in_order(_TrainingTruth(reader), batches, workers, title="reading training depth for the baselines")
    for item in (item for items in truths for item in items):
        if isinstance(item, str):
            errors.append(item)
        else:
            grids.append(cell_depths(item, *(grids[0] if grids else item).shape))
    if not grids:
        return Baselines(reason=f"no training ground truth: {(errors or ['the list is empty'])[0]}")
    return from_grids(grids, f"median of {len(grids)} ground truths of {name}")
