"""Alignments recover what was applied, and the two medians differ where published code differs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mdtk.evaluation.scoring.alignment import align, median

GENERATOR = np.random.default_rng(3)
GT = GENERATOR.uniform(1, 50, 400)


@pytest.mark.parametrize("count", [1, 2, 7, 8, 100])
def test_medians(count):
    values = GENERATOR.normal(size=count)
    assert median(values, "torch") == torch.median(torch.from_numpy(values)).item()
    assert median(values, "numpy") == np.median(values)
    assert median(np.array([1.0, 2.0, 4.0, 9.0]), "torch") == 2.0
    assert median(np.array([1.0, 2.0, 4.0, 9.0]), "numpy") == 3.0


@pytest.mark.parametrize("name", ["median", "scale", "scale_shift"])
def test_scale_is_recovered(name):
    aligned = align(GT, GT / 7, name, "numpy")
    np.testing.assert_allclose(aligned.depth, GT, rtol=1e-9)


def test_scale_and_shift_in_disparity():
    pred = 1 / (2.5 / GT + 0.3)
    aligned = align(GT, pred, "scale_shift", "numpy")
    assert (aligned.scale, aligned.shift) == (pytest.approx(1 / 2.5), pytest.approx(-0.3 / 2.5))
    np.testing.assert_allclose(aligned.depth, GT, rtol=1e-9)


def test_least_squares_beats_every_other_scale():
    pred = GT * GENERATOR.uniform(0.5, 1.5, GT.size)
    best = align(GT, pred, "scale", "numpy")
    loss = np.sum((GT - best.depth) ** 2)
    assert all(loss < np.sum((GT - best.scale * factor * pred) ** 2) for factor in (0.99, 1.01))


def test_disparity_that_is_shifted_below_zero_is_infinitely_far():
    gt, pred = np.array([1.0, 1.1, 50.0, 55.0, 60.0]), np.array([1.0, 1.05, 1.5, 1.6, 1000.0])
    aligned = align(gt, pred, "scale_shift", "numpy")
    assert aligned.scale / pred[-1] + aligned.shift < 0
    assert np.isinf(aligned.depth[-1])
    assert np.isfinite(aligned.depth[:2]).all()


def test_constant_prediction_can_be_shifted():
    aligned = align(GT, np.full_like(GT, 5.0), "scale_shift", "numpy")
    np.testing.assert_allclose(aligned.depth, 1 / np.mean(1 / GT))


def test_none_and_global():
    assert align(GT, GT / 2, "none", "numpy").scale == 1.0
    np.testing.assert_array_equal(align(GT, GT / 2, "global_median", "numpy", shared=(3.0, 0.0)).depth, 1.5 * GT)
