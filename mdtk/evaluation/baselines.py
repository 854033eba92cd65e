"""The baseline predictors, which look at no image: a model that does not beat them has learnt nothing about its input.

`constant depth`: one depth everywhere, the median of the training ground truth. `median map`: for each pixel of the
ground truth's own grid (that of the first map), the median depth of the training ground truth there, in image
coordinates normalised to 0 … 1. The grid is the same for every model, whatever its input size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

CONSTANT, MEDIAN_MAP = "constant depth", "median map"
_ROWS = 32  # that are sorted at once: maps of the ground truth's size are large
CONSTANT_SIZE = (2, 2)  # of a map that is the same everywhere


@dataclass(frozen=True)
class Baselines:
    """What training data gives: `constant` in metres and `median_map` (H, W), of the ground truth's size.

    Where these are None, `reason` says why; else `origin` says what they were made from.
    """

    constant: float | None = None
    median_map: np.ndarray | None = None
    origin: str = ""
    reason: str = ""

    def disparities(self, aligned: bool) -> dict[str, np.ndarray]:
        """The predictions (h, w) as disparity by label. Where scale is `aligned`, any constant is the same."""
        found = {}
        if self.constant is not None or aligned:
            found[CONSTANT] = np.full(CONSTANT_SIZE, 1 / (self.constant or 1.0), np.float32)
        if self.median_map is not None:
            found[MEDIAN_MAP] = (1 / self.median_map).astype(np.float32)
        return found

    def describe(self) -> str:
        """One line: what they were made from, or why one of them is left out."""
        return self.origin or f"left out: {self.reason}"


def cell_depths(depth: np.ndarray, height: int, width: int) -> np.ndarray:
    """One ground truth (H, W), 0 where unknown → (height, width) float32: the known pixel nearest each cell's centre.

    A cell that no known pixel falls in stays 0. Of several pixels in a cell the one nearest its centre counts.
    """
    rows, columns = np.nonzero((depth > 0) & np.isfinite(depth))
    y, x = (rows + 0.5) * height / depth.shape[0], (columns + 0.5) * width / depth.shape[1]
    cell_y, cell_x = np.minimum(y.astype(int), height - 1), np.minimum(x.astype(int), width - 1)
    distance = (y - cell_y - 0.5) ** 2 + (x - cell_x - 0.5) ** 2
    order = np.argsort(-distance, kind="stable")  # the nearest is written last
    cells = np.zeros((height, width), np.float32)
    cells[cell_y[order], cell_x[order]] = depth[rows[order], columns[order]]
    return cells


def median_map(cells_nhw: np.ndarray) -> np.ndarray:
    """Median over N of the known (positive) depths of each cell; an empty cell takes its nearest neighbour's.

    At least one cell must be known."""
    middle = np.concatenate([_middle(cells_nhw[:, row : row + _ROWS]) for row in range(0, cells_nhw.shape[1], _ROWS)])
    nearest = ndimage.distance_transform_edt(np.isinf(middle), return_distances=False, return_indices=True)
    return middle[tuple(nearest)].astype(np.float32)


def _middle(cells_nhw: np.ndarray) -> np.ndarray:
    """The median of the known depths of each cell, inf where there is none."""
    known = np.sort(np.where(cells_nhw > 0, cells_nhw, np.inf), axis=0)
    counts = np.isfinite(known).sum(axis=0)
    low = np.take_along_axis(known, np.maximum((counts - 1) // 2, 0)[None], axis=0)[0]
    high = np.take_along_axis(known, (counts // 2)[None], axis=0)[0]
    return np.where(counts > 0, 0.5 * (low + high), np.inf)


def from_grids(grids: Sequence[np.ndarray], origin: str) -> Baselines:
    """Both predictors from training ground truths that `cell_depths` brought to one grid, in metres."""
    cells = np.stack(grids)
    known = cells[cells > 0]
    if not known.size:
        return Baselines(reason=f"no known depth in the {origin}")
    return Baselines(float(np.median(known)), median_map(cells), origin)
