"""The KITTI depth benchmark: its 500 test images have no public ground truth; predictions go to its server as PNGs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mdtk.core.files import atomic_write
from mdtk.evaluation.scoring.score import check_disparity

NAME = "kitti_benchmark"
DATASET, SPLIT = "kitti_raw", "benchmark/test"
SIZE = (1216, 352)  # width, height that the server takes
MAX_DEPTH = 80.0  # metres
SCALE = 5.4  # the published export's factor on depth, for models of every training


def kitti_benchmark_png(disparity: np.ndarray, factor: float = SCALE) -> np.ndarray:
    """Scaled disparity (h, w) → uint16 (352, 1216): depth `factor` / disparity in metres × 256, truncated, 0 … 80 m."""
    resized = cv2.resize(np.ascontiguousarray(disparity), SIZE)
    depth = np.clip(factor / resized, 0, MAX_DEPTH)
    return (depth * 256).astype(np.uint16)


def export(predictions: Mapping[str, np.ndarray], names: Sequence[str], indices: Sequence[int], folder: Path) -> None:
    """Writes <folder>/%010d.png for every name, numbered by its place in the list."""
    for index, name in zip(indices, names, strict=True):
        check_disparity(predictions[name], name)
        with atomic_write(folder / f"{index:010d}.png") as temporary:
            Image.fromarray(kitti_benchmark_png(predictions[name])).save(temporary)
