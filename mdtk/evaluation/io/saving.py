"""Keeping predictions: one `.npy` per protocol in the order of the list, as the published evaluators save them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mdtk.core import distributed
from mdtk.core.errors import MdtkError
from mdtk.core.files import write_text
from mdtk.datasets.reader import DatasetReader
from mdtk.evaluation.io.external import file_stem
from mdtk.evaluation.scoring.protocols import Protocol


def save_predictions(
    folder: Path,
    protocol: Protocol,
    predictions: Mapping[str, np.ndarray],
    reader: DatasetReader,
    batches: Sequence[Sequence[int]],
) -> Path:
    """Writes <folder>/<protocol>.npy (N, h, w) float32 scaled disparity and <protocol>.txt, the names of its rows.

    Every process writes its own rows into one file, which all of them must reach; it gets its name when it is whole.
    """
    mine = [index for batch in batches for index in batch]
    rows = {index: row for row, index in enumerate(sorted(distributed.gather_objects(mine)))}
    path = folder / f"{file_stem(protocol.key)}.npy"
    unfinished = path.with_name(f".{path.name}.unfinished")
    if distributed.is_main():
        folder.mkdir(parents=True, exist_ok=True)
        height, width = predictions[reader.name(mine[0])].shape
        np.lib.format.open_memmap(unfinished, "w+", np.float32, (len(rows), height, width)).flush()
    distributed.barrier()
    stack = np.lib.format.open_memmap(unfinished, "r+")
    for index in mine:
        name = reader.name(index)
        if predictions[name].shape != stack.shape[1:]:
            raise MdtkError(f"{name}: the prediction is {predictions[name].shape}, others are {stack.shape[1:]}")
        stack[rows[index]] = predictions[name]
    stack.flush()
    distributed.barrier()
    if distributed.is_main():
        unfinished.replace(path)
        write_text(path.with_suffix(".txt"), "".join(f"{reader.name(index)}\n" for index in rows))
    return path
