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
    shapes = sorted(distributed.gather_objects([(index, predictions[reader.name(index)].shape) for index in mine]))
    for index, shape in shapes:  # said by every process, so that none waits for another
        if shape != shapes[0][1]:
            raise MdtkError(
                f"{reader.name(index)}: the prediction is {shape}, others are {shapes[0][1]}; --save_predictions "
                "keeps maps of one size, set the predictor's input_size"
            )
    rows = {index: row for row, (index, _) in enumerate(shapes)}
    path = folder / f"{file_stem(protocol.key)}.npy"
    unfinished = path.with_name(f".{path.name}.unfinished")
    if distributed.is_main():
        folder.mkdir(parents=True, exist_ok=True)
        height, width = shapes[0][1]
        np.lib.format.open_memmap(unfinished, "w+", np.float32, (len(rows), height, width)).flush()
    distributed.barrier()
    stack = np.lib.format.open_memmap(unfinished, "r+")
    for index in mine:
        stack[rows[index]] = predictions[reader.name(index)]
    stack.flush()
    distributed.barrier()
    if distributed.is_main():
        unfinished.replace(path)
        write_text(path.with_suffix(".txt"), "".join(f"{reader.name(index)}\n" for index in rows))
    return path
