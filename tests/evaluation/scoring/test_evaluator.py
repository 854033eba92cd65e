"""Scoring: steps in the protocol's order, joins by name, images without ground truth."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from mdtk.core.errors import MdtkError
from mdtk.evaluation.scoring.evaluator import Candidate, evaluate, evaluate_all
from mdtk.evaluation.scoring.protocols import get_protocol
from mdtk.evaluation.scoring.score import ScaleMode, aligned_depth, resize

GENERATOR = np.random.default_rng(5)
PLAIN = get_protocol("sequence")  # no crop, bilinear disparity, 1 mm … 80 m


def scene(count=3, height=12, width=20):
    """(index, name, depth) with a few unknown pixels."""
    items = []
    for index in range(count):
        depth = GENERATOR.uniform(2, 40, (height, width)).astype(np.float32)
        depth[:2] = 0
        items.append((index, f"image {index}", depth))
    return items


def exact(items, scales):
    return {
        name: (scale / np.where(depth > 0, depth, 5)).astype(np.float32)
        for (_, name, depth), scale in zip(items, scales, strict=True)
    }


def test_perfect_up_to_scale():
    items = scene()
    evaluation = evaluate(PLAIN, exact(items, [2.0, 3.0, 4.0]), items)
    assert evaluation.means["abs_rel"] == pytest.approx(0, abs=1e-6)
    assert evaluation.means["a1"] == 1.0
    np.testing.assert_allclose([row.scale for row in evaluation.rows], [2.0, 3.0, 4.0], rtol=1e-6)
    assert evaluation.ratio_median == pytest.approx(3.0)
    assert evaluation.ratio_spread == pytest.approx(np.std([2 / 3, 1, 4 / 3]))
    assert evaluation.valid_pixels == 3 * 10 * 20
    unbiased = dataclasses.replace(PLAIN, ratio_ddof=1)
    assert evaluate(unbiased, exact(items, [2.0, 3.0, 4.0]), items).ratio_spread == pytest.approx(1 / 3)


@pytest.mark.parametrize("alignment", ["none", "median", "global_median", "scale", "scale_shift"])
def test_alignment_by_name(alignment):
    items = scene()
    evaluation = evaluate(PLAIN, exact(items, [4.0] * 3), items, ScaleMode(alignment))
    expected = 0.75 if alignment == "none" else 0.0
    assert evaluation.means["abs_rel"] == pytest.approx(expected, abs=1e-5)


def test_global_median_is_one_factor():
    items = scene()
    scale = ScaleMode("global_median")
    evaluation = evaluate(PLAIN, exact(items, [2.0, 3.0, 5.0]), items, scale)
    assert {row.scale for row in evaluation.rows} == {evaluation.ratio_median}
    assert evaluation.ratio_median == pytest.approx(3.0)


def test_factor_comes_before_alignment():
    items = scene()
    predictions = exact(items, [5.4] * 3)
    assert evaluate(PLAIN, predictions, items, ScaleMode("none", 5.4)).means["rmse"] < 1e-4
    row = evaluate(PLAIN, predictions, items, ScaleMode("median", 2.7)).rows[0]
    assert row.scale == pytest.approx(2.0)


def test_clamp_is_after_alignment():
    depth = np.full((4, 4), 10.0, np.float32)
    prediction = np.full((4, 4), 1.0, np.float32)
    prediction[0, 0] = 1e-3  # 1000 times farther than the rest
    protocol = dataclasses.replace(PLAIN, clamp=(None, 40.0))
    row = evaluate(protocol, {"a": prediction}, [(0, "a", depth)]).rows[0]
    assert row.metrics["rmse"] == pytest.approx(np.sqrt(30.0**2 / 16))
    unclamped = dataclasses.replace(PLAIN, clamp=(None, None))
    assert evaluate(unclamped, {"a": prediction}, [(0, "a", depth)]).rows[0].metrics["rmse"] > 1000


def test_disparity_or_depth_is_resized():
    disparity = np.array([[1.0, 0.1]], np.float32)
    depth = np.ones((1, 4), np.float32)
    by_disparity = evaluate(PLAIN, {"a": disparity}, [(0, "a", depth)], ScaleMode("none"))
    by_depth = evaluate(
        dataclasses.replace(PLAIN, resized="depth"), {"a": disparity}, [(0, "a", depth)], ScaleMode("none")
    )
    expected = [1 / cv2.resize(disparity, (4, 1)) - 1, cv2.resize(1 / disparity, (4, 1)) - 1]
    found = [by_disparity.means["mae"], by_depth.means["mae"]]
    np.testing.assert_allclose(found, [np.abs(error).mean() for error in expected], rtol=1e-6)
    assert found[0] != pytest.approx(found[1], rel=0.05)


def test_interpolations_differ_as_published():
    ramp = np.arange(6, dtype=np.float32).reshape(1, 6)
    np.testing.assert_allclose(resize(ramp, 1, 11, "bilinear_aligned")[0], np.arange(11) / 2)
    np.testing.assert_allclose(resize(ramp, 1, 12, "bilinear")[0, :3], [0, 0.25, 0.75])
    for kind in ("nearest", "nearest_cv2"):
        np.testing.assert_array_equal(resize(ramp, 1, 12, kind)[0], np.repeat(np.arange(6), 2))
    tall = np.arange(192, dtype=np.float32)[:, None]
    wide = np.arange(640, dtype=np.float32)[None]
    torch_rows, cv_rows = (resize(tall, 21, 1, kind) for kind in ("nearest", "nearest_cv2"))
    torch_columns, cv_columns = (resize(wide, 1, 305, kind) for kind in ("nearest", "nearest_cv2"))
    differing = (torch_rows != cv_rows) | (torch_columns != cv_columns)
    assert differing.sum() == 84  # of 6405 pixels, as found with the published code for Make3D


def test_missing_prediction_and_bad_values():
    items = scene()
    predictions = exact(items, [1.0] * 3)
    del predictions["image 1"]
    with pytest.raises(MdtkError, match=r"sequence: no prediction for image 1; predict every image of val"):
        evaluate(PLAIN, predictions, items)
    for value in (0.0, -1.0, np.nan, np.inf):
        predictions["image 1"] = np.full((3, 4), value, np.float32)
        with pytest.raises(MdtkError, match="image 1: the prediction holds values that are not finite and positive"):
            evaluate(PLAIN, predictions, items)
    predictions["image 1"] = np.ones((0, 0), np.float32)
    with pytest.raises(MdtkError, match=r"image 1: the prediction has shape \(0, 0\)"):
        evaluate(PLAIN, predictions, items)
    predictions["image 1"] = np.ones((1, 3, 4), np.float32)
    with pytest.raises(MdtkError, match=r"image 1: the prediction has shape \(1, 3, 4\)"):
        evaluate(PLAIN, predictions, items)


def test_no_valid_pixel_is_named_or_left_out():
    items = scene()
    items[1][2][:] = 0
    predictions = {name: np.ones((3, 4), np.float32) for _, name, _ in items}
    with pytest.raises(MdtkError, match=r"the ground truth of image 1 has no valid pixel \(0.001 m < depth < 80 m"):
        evaluate(PLAIN, predictions, items)
    for alignment in ("median", "global_median"):
        evaluation = evaluate(PLAIN, predictions, items, ScaleMode(alignment), skip_empty=True)
        assert evaluation.empty == ("image 1",)
        assert [row.index for row in evaluation.rows] == [0, 2]
    for _, _, depth in items:
        depth[:] = 0
    with pytest.raises(MdtkError, match="sequence: nothing to evaluate"):
        evaluate(PLAIN, predictions, items, skip_empty=True)


def test_candidates_have_their_own_scale():
    items = scene()
    candidates = {
        "model": Candidate(exact(items, [3.0] * 3), ScaleMode("none", 3.0)),
        "baseline": Candidate(exact(items, [1.0] * 3), ScaleMode("none")),
    }
    found = evaluate_all(PLAIN, candidates, items)
    assert found["model"].means["abs_rel"] == pytest.approx(0, abs=1e-6)
    assert found["baseline"].means["abs_rel"] == pytest.approx(0, abs=1e-6)


def test_rows_come_back_in_list_order_and_none_twice():
    items = scene()
    predictions = exact(items, [1.0] * 3)
    assert [row.index for row in evaluate(PLAIN, predictions, items[::-1]).rows] == [0, 1, 2]
    with pytest.raises(RuntimeError, match="evaluated twice"):
        evaluate(PLAIN, predictions, [*items, items[0]])


@pytest.mark.parametrize("alignment", ["median", "scale_shift"])
def test_aligned_depth_is_what_was_measured(alignment):
    items = scene(1)
    prediction = GENERATOR.uniform(0.05, 0.5, (6, 10)).astype(np.float32)
    scale = ScaleMode(alignment, 1.7)
    row = evaluate(PLAIN, {"image 0": prediction}, items, scale).rows[0]
    depth, gt = aligned_depth(PLAIN, scale, row, prediction), items[0][2]
    assert np.mean(np.abs(depth - gt)[gt > 0] / gt[gt > 0]) == pytest.approx(row.metrics["abs_rel"], rel=1e-9)


def test_scale_mode_refuses_nonsense():
    with pytest.raises(MdtkError, match="unknown alignment mean; there are none, median"):
        ScaleMode("mean")
    with pytest.raises(MdtkError, match="the factor on depth is 0"):
        ScaleMode("none", 0.0)
