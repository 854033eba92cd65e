"""The published alignments, each against an independent computation and the constants of its source."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.optimize import linprog, minimize

from mdtk.core.errors import MdtkError
from mdtk.evaluation.scoring.alignment import ALIGNMENTS, Alignment, align, check_kind, clamp, one_per_cell
from mdtk.evaluation.scoring.evaluator import Candidate, evaluate, evaluate_all
from mdtk.evaluation.scoring.fits import robust_line, weighted_median
from mdtk.evaluation.scoring.protocols import get_protocol
from mdtk.evaluation.scoring.score import ScaleMode, aligned_depth

GENERATOR = np.random.default_rng(11)
GT = GENERATOR.uniform(1, 79, 600)
RAW = 3.0 / GT - 0.4 + GENERATOR.normal(0, 0.02, GT.size)  # affine disparity: some of it is negative
PLAIN = get_protocol("sequence")


def line(y, x):
    """Slope and intercept by numpy's polynomial fit."""
    return np.polyfit(x, y, 1)


def test_midas():
    slope, shift = line(1 / GT, RAW)
    found = align(GT, RAW, "midas", "numpy", "disparity", cap=80.0)
    np.testing.assert_allclose(found.depth, 1 / np.maximum(slope * RAW + shift, 1 / 80), rtol=1e-9)
    assert found.depth.max() == pytest.approx(80)
    flat = align(GT, np.full_like(GT, 2.0), "midas", "numpy", "disparity", cap=10.0)
    assert (flat.scale, flat.shift) == (0.0, 0.0)  # the determinant is not positive
    np.testing.assert_allclose(flat.depth, 10)


def test_marigold_in_depth():
    pred = (GT - 5) / 100 + GENERATOR.normal(0, 0.01, GT.size)
    slope, shift = line(GT, pred)
    found = align(GT, pred, "marigold", "numpy")
    np.testing.assert_allclose(found.depth, slope * pred + shift, rtol=1e-9)
    assert clamp(ALIGNMENTS["marigold"], np.array([-3.0, 90.0]), (1e-5, 80.0)).tolist() == [1e-5, 80.0]
    assert clamp(ALIGNMENTS["marigold"], np.array([-3.0]), (None, 80.0)).tolist() == [1e-6]


def test_marigold_in_disparity_fits_positive_pixels_only():
    used = RAW > 0
    slope, shift = line(1 / GT[used], RAW[used])
    found = align(GT, RAW, "marigold_disparity", "numpy", "disparity")
    np.testing.assert_allclose(found.depth, 1 / np.maximum(slope * RAW + shift, 1e-3), rtol=1e-8)


def test_slowtv():
    slope, shift = line(1 / (GT + 1e-5), RAW)
    aligned = slope * RAW + shift
    assert (aligned < 0).any()
    found = align(GT, RAW, "slowtv", "numpy", "disparity")
    np.testing.assert_allclose(found.depth, (aligned > 0) / (aligned + 1e-5), rtol=1e-8)


def test_moge_affine_disparity():
    slope, shift = line(1 / GT, RAW)
    found = align(GT, RAW, "moge_affine_disparity", "numpy", "disparity", cap=10.0)
    np.testing.assert_allclose(found.depth, 1 / np.maximum(slope * RAW + shift, 1 / GT.max()), rtol=1e-9)


def test_moge_scale_is_the_weighted_least_absolute_error():
    pred = GT / 4 * GENERATOR.lognormal(0, 0.3, GT.size)
    found = align(GT, pred, "moge_scale", "numpy")
    candidates = GT / pred  # the minimum of a sum of |g − s p| lies at one of these
    losses = [np.sum(np.abs(GT - s * pred) / GT) for s in candidates]
    assert found.scale == pytest.approx(candidates[int(np.argmin(losses))])
    assert clamp(ALIGNMENTS["moge_scale"], np.array([1e5]), (1e-3, 80.0)).tolist() == [1e5]


def test_moge_affine_depth_is_the_weighted_least_absolute_error_of_a_line():
    mask = np.zeros((24, 50), bool)
    mask[:, ::2] = True  # 600 pixels, fewer than 64 x 64 cells: each is the nearest of its own
    pred = (GT - 3) / 5 * GENERATOR.lognormal(0, 0.1, GT.size)
    found = align(GT, pred, "moge_affine_depth", "numpy", mask=mask)
    exact = minimize(  # the corners of the convex loss, from the least-squares line
        lambda line: np.sum(np.abs(GT - line[0] * pred - line[1]) / GT),
        np.polyfit(pred, GT, 1),
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 4000},
    )
    loss = np.sum(np.abs(GT - found.scale * pred - found.shift) / GT)
    assert loss == pytest.approx(exact.fun, rel=1e-6)
    np.testing.assert_allclose(found.depth, found.scale * pred + found.shift)
    assert clamp(ALIGNMENTS["moge_affine_depth"], np.array([-2.0, 1e5]), (1e-3, 80.0)).tolist() == [1e-6, 1e5]


def test_robust_line_is_that_of_linear_programming():
    y, x = GT[:80], GT[:80] / 3 + 2
    y[::7] *= 5  # outliers
    weights = 1 / y
    count = y.size
    rows = np.stack([x, np.ones(count)], 1)
    system = np.block([[rows, -np.eye(count)], [-rows, -np.eye(count)]])
    exact = linprog(
        np.r_[0, 0, weights], A_ub=system, b_ub=np.r_[y, -y], bounds=[(None, None)] * 2 + [(0, None)] * count
    )
    scale, shift = robust_line(y, x, weights)
    assert np.sum(weights * np.abs(y - scale * x - shift)) == pytest.approx(exact.fun, rel=1e-7)
    assert weighted_median(np.array([1.0, 5.0, 2.0]), np.array([1.0, 10.0, 1.0])) == 5.0


def test_log_scale_minimises_the_error_of_logarithms():
    pred = GT * GENERATOR.lognormal(0.7, 0.2, GT.size)
    found = align(GT, pred, "log_scale", "numpy")
    best = minimize(lambda s: np.sum((np.log(GT) - np.log(pred) - s[0]) ** 2), [0.0])
    assert found.scale == pytest.approx(np.exp(best.x[0]), rel=1e-5)


def test_one_pixel_for_each_cell():
    mask = GENERATOR.random((90, 130)) < 0.2
    chosen = one_per_cell(mask, 8)
    rows, columns = (axis[chosen] for axis in np.nonzero(mask))
    cells = (rows * 8 // 90) * 8 + columns * 8 // 130
    assert sorted(set(cells.tolist())) == list(range(64))
    assert len(cells) == 64


def sequence(count=6, height=8, width=9):
    items, maps = [], {}
    for index in range(count):
        depth = GENERATOR.uniform(2, 40, (height, width)).astype(np.float32)
        items.append((index, f"image {index}", depth))
        maps[f"image {index}"] = (2.0 / depth + 0.1 + GENERATOR.normal(0, 0.01, depth.shape)).astype(np.float32)
    return items, maps


@pytest.mark.parametrize("shards", [1, 2])
def test_video_depth_anything_fits_each_recording_once(shards):
    items, maps = sequence()
    candidate = {"model": Candidate(maps, ScaleMode("video_depth_anything"), "affine_disparity")}
    results = []

    def together(make):  # several processes: this one's items after another's
        results.append(make())
        return results[-1]

    ordered = items if shards == 1 else items[3:] + items[:3]
    found = evaluate_all(PLAIN, candidate, ordered, gather=together, recording=lambda index: f"drive {index // 3}")
    rows = found["model"].rows
    for part in (slice(0, 3), slice(3, 6)):
        truth = np.concatenate([1 / (depth.ravel().astype(np.float64) + 1e-8) for _, _, depth in items[part]])
        values = np.concatenate([np.maximum(maps[name], 1e-3).ravel() for _, name, _ in items[part]]).astype(float)
        slope, shift = line(truth, values)
        assert {row.scale for row in rows[part]} == {rows[part][0].scale}
        assert (rows[part][0].scale, rows[part][0].shift) == (pytest.approx(slope), pytest.approx(shift))
        assert {row.recording for row in rows[part]} == {f"drive {part.start // 3}"}
    assert rows[0].scale != rows[3].scale


AFFINE = ("scale_shift", "midas", "marigold_disparity", "slowtv", "moge_affine_disparity", "video_depth_anything")


@pytest.mark.parametrize("name", AFFINE)
def test_affine_disparity_may_be_negative_and_is_shown_as_scored(name):
    items, maps = sequence()
    shifted = {key: value - 0.2 for key, value in maps.items()}
    assert min(value.min() for value in shifted.values()) < 0
    scale = ScaleMode(name)
    evaluation = evaluate(PLAIN, shifted, items, scale, kind="affine_disparity", recording=lambda index: "one")
    assert evaluation.means["abs_rel"] < (0.3 if name != "video_depth_anything" else 2)
    row = evaluation.rows[2]
    depth = aligned_depth(PLAIN, scale, row, shifted[row.name], "affine_disparity")
    gt = items[2][2]
    assert np.mean(np.abs(depth - gt) / gt) == pytest.approx(row.metrics["abs_rel"], rel=1e-6)
    with pytest.raises(MdtkError, match=r"not finite and positive; .*--predictions_are affine_disparity"):
        evaluate(PLAIN, shifted, items, scale)


def test_affine_depth_may_be_negative():
    items, _ = sequence()
    maps = {name: depth / 10 - 2 for _, name, depth in items}
    evaluation = evaluate(PLAIN, maps, items, ScaleMode("marigold", 3.0), kind="affine_depth")
    assert evaluation.means["abs_rel"] < 1e-5


def test_what_cannot_be_aligned_is_said():
    with pytest.raises(MdtkError, match=r"affine_disparity have no depth under the alignment median; .* midas"):
        check_kind(ALIGNMENTS["median"], "affine_disparity")
    with pytest.raises(MdtkError, match="affine_depth have no depth under the alignment midas"):
        check_kind(ALIGNMENTS["midas"], "affine_depth")
    with pytest.raises(MdtkError, match="alignment mine: space is one of depth, disparity, log_depth"):
        Alignment("mine", "", space="inverse")
    with pytest.raises(MdtkError, match="alignment mine: the fit robust_scale serves one image only"):
        Alignment("mine", "", fit="robust_scale", scope="set")


def test_kb_window_takes_whole_and_cut_predictions():
    row = dataclasses.replace(get_protocol("kitti_eigen_benchmark/supervised"), interpolation="nearest")
    depth = GENERATOR.uniform(2, 70, (375, 1242)).astype(np.float32)
    whole, part = 1 / depth, 1 / depth[23:, 13:1229]
    for values in (whole, part):
        evaluation = evaluate(row, {"a": values}, [(0, "a", depth)], ScaleMode("none"))
        assert evaluation.means["abs_rel"] == pytest.approx(0, abs=1e-6)
        assert evaluation.rows[0].valid_pixels == (349 - 143) * (1172 - 43)  # Garg's fractions of 352x1216
    eigen = get_protocol("kitti/marigold").crop.slices(352, 1216)
    assert [(span.start, span.stop) for span in eigen] == [(117, 321), (43, 1172)]
    with pytest.raises(MdtkError, match="takes a part of 1216x352"):
        evaluate(row, {"a": part}, [(0, "a", depth[:300])], ScaleMode("none"))


def test_published_rows():
    nyu = get_protocol("nyuv2/supervised")
    rows, columns = nyu.frame.box.slices(480, 640)
    inner = nyu.crop.slices(427, 561)
    assert (rows.start + inner[0].start, rows.start + inner[0].stop) == (45, 471)
    assert (columns.start + inner[1].start, columns.start + inner[1].stop) == (41, 601)
    assert (nyu.depth_min, nyu.depth_max, nyu.clamp, nyu.alignment) == (1e-3, 10.0, (1e-3, 10.0), "none")
    for key in ("ddad", "diode/slowtv", "sintel", "tum_rgbd"):  # the code of SlowTV resizes disparity, then inverts it
        row = get_protocol(key)
        assert (row.variant, row.alignment, row.resized, row.depth_min) == ("slowtv", "slowtv", "disparity", 1e-3)
    for key in ("sintel/video_depth_anything", "scannet/video_depth_anything"):
        assert get_protocol(key).resized == "disparity"
    assert [get_protocol(key).depth_max for key in ("ddad", "diode/slowtv", "sintel", "tum_rgbd")] == [
        250,
        150,
        100,
        100,
    ]
    marigold = get_protocol("kitti/marigold")
    assert (marigold.depth_min, marigold.depth_max, marigold.alignment) == (1e-5, 80.0, "marigold")
