"""Files for a benchmark whose server alone has the ground truth: a 16-bit depth PNG per image, or one .npz of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mdtk.core.files import atomic_write
from mdtk.evaluation.scoring.protocols import Submission
from mdtk.evaluation.scoring.score import check_prediction


def submission_png(row: Submission, disparity: np.ndarray) -> np.ndarray:
    """Scaled disparity (h, w) → uint16 (height, width): metres, 0 … max_depth, × png_scale, truncated as published."""
    resized = cv2.resize(np.ascontiguousarray(disparity), (row.width, row.height))
    depth = np.clip(row.factor / resized, 0, row.max_depth)
    return (depth * row.png_scale).astype(np.uint16)


def export(
    row: Submission,
    predictions: Mapping[str, np.ndarray],
    names: Sequence[str],
    indices: Sequence[int],
    folder: Path,
) -> None:
    """Writes <folder>/%010d.png for every name, numbered by its place in the list."""
    for index, name in zip(indices, names, strict=True):
        check_prediction(predictions[name], name)
        with atomic_write(folder / f"{index:010d}.png") as temporary:
            Image.fromarray(submission_png(row, predictions[name])).save(temporary)


def export_stack(stack: Path, target: Path) -> None:
    """The predictions of `saving.save_predictions` as one compressed .npz, under the name `pred`."""
    maps = np.load(stack, mmap_mode="r")
    with atomic_write(target) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, pred=maps)
