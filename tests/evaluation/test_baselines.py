"""The baseline predictors: medians on the network's grid, holes, and what is said where there is no ground truth."""

from __future__ import annotations

import numpy as np
import pytest

from mdtk.core.errors import MdtkError
from mdtk.evaluation.baselines import CONSTANT, MEDIAN_MAP, cell_depths, from_grids, median_map
from mdtk.evaluation.ground_truth import read_baselines


def test_cells_take_the_pixel_nearest_their_centre():
    depth = np.zeros((6, 9), np.float32)
    depth[0, 0], depth[1, 1], depth[2, 2] = 5.0, 7.0, 9.0
    depth[5, 8] = np.inf
    cells = cell_depths(depth, 2, 3)
    np.testing.assert_array_equal(cells, [[7.0, 0, 0], [0, 0, 0]])


def test_cells_of_a_coarser_ground_truth():
    cells = cell_depths(np.array([[1.0, 2.0]], np.float32), 2, 4)
    assert sorted(cells[cells > 0].tolist()) == [1.0, 2.0]
    assert cells[:, :2].max() == 1.0


def test_median_ignores_unknown_and_fills_holes():
    cells = np.zeros((3, 1, 4), np.float32)
    cells[:, 0, 0] = [1, 2, 30]
    cells[:2, 0, 1] = [4, 6]
    cells[0, 0, 3] = 9
    np.testing.assert_array_equal(median_map(cells), [[2.0, 5.0, 5.0, 9.0]])


def test_both_predictors():
    grids = [np.full((2, 3), value, np.float32) for value in (2.0, 4.0, 9.0)]
    maps = from_grids(grids, "median of 3").disparities(aligned=False)
    np.testing.assert_allclose(maps[CONSTANT], 1 / 4)
    np.testing.assert_allclose(maps[MEDIAN_MAP], 1 / 4)
    unknown = from_grids([np.zeros((2, 3), np.float32)], "median of 1 ground truths")
    assert unknown.reason == "no known depth in the median of 1 ground truths"
    assert set(unknown.disparities(aligned=True)) == {CONSTANT}
    assert unknown.disparities(aligned=False) == {}


class SomeDepth:
    """Every second frame has a depth, its own number; the others fail."""

    def __len__(self):
        return 9

    def ground_truth(self, index, kind=""):
        if index % 2:
            raise MdtkError(f"laser scan not found: {index}")
        return np.full((4, 4), index + 1.0, np.float32)


class NoDepth(SomeDepth):
    def ground_truth(self, index, kind=""):
        raise MdtkError(f"laser scan not found: {index}")


@pytest.mark.parametrize("workers", [0, 2])
def test_frames_without_ground_truth_are_left_out(workers):
    found = read_baselines(SomeDepth(), "a list", 9, workers)
    assert (found.constant, found.origin) == (5.0, "median of 5 ground truths of a list")
    np.testing.assert_array_equal(found.median_map, np.full((4, 4), 5.0), "the grid is the ground truth's own")
    none = read_baselines(NoDepth(), "a list", 9, workers)
    assert none.describe() == "left out: no training ground truth: laser scan not found: 0"
