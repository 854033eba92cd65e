"""Metrics on maps against brute force and closed forms."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from skimage.feature import canny

from mdtk.cli.options.evaluation_options import MAP_METRICS as LISTED
from mdtk.core.errors import MdtkError
from mdtk.evaluation.scoring.map_metrics import (
    MAP_METRICS,
    Maps,
    boundary_depth_pro,
    boundary_moge,
    edges,
    point_cloud,
    point_cloud_slowtv,
    points_of,
    regions,
)
from mdtk.evaluation.scoring.temporal import TAE, TimedDepth, project_depth, temporal_alignment_error
from tests.helpers.tools import call_tool

GENERATOR = np.random.default_rng(23)
K = np.array([[20.0, 0, 14.5], [0, 20.0, 9.5], [0, 0, 1]])


def maps(valid_share=1.0, noise=0.02, size=(20, 30)):
    gt = GENERATOR.uniform(2, 60, size)
    pred = gt * (1 + noise * GENERATOR.normal(size=size))
    return Maps(gt, pred, GENERATOR.random(size) < valid_share, K)


def test_point_cloud_is_that_of_all_distances():
    seen = maps(0.4, 0.003)
    pred, gt = points_of(seen.pred, seen.valid, K), points_of(seen.gt, seen.valid, K)
    distances = cdist(pred, gt)
    d_p, d_g = distances.min(1), distances.min(0)
    found, other = point_cloud(seen), point_cloud_slowtv(seen)
    assert found["chamfer"] == pytest.approx(d_p.mean() + d_g.mean())
    for t in (0.05, 0.1, 0.2):
        p, r = np.mean(d_p < t), np.mean(d_g < t)
        assert found[f"f_score@{t:g}"] == pytest.approx(100 * 2 * p * r / (p + r))
        assert found[f"iou@{t:g}"] == pytest.approx(100 * p * r / (p + r - p * r))
        p, r = np.mean(d_p[::2] < t), np.mean(d_g[::2] < t)
        assert other[f"f_score_slowtv@{t:g}"] == pytest.approx(100 * 2 * p * r / (p + r + 1e-5))
    assert found["f_score@0.05"] < found["f_score@0.2"]
    far = Maps(seen.gt, seen.gt + 30, seen.valid, K)
    assert point_cloud(far)["f_score@0.1"] == 0.0


def test_points_lie_on_their_rays():
    seen = maps(0.5)
    points = points_of(seen.gt, seen.valid, K)
    places = points @ K.T
    np.testing.assert_allclose(places[:, :2] / places[:, 2:], np.argwhere(seen.valid)[:, ::-1], atol=1e-9)


def step(column, size=(40, 60), near=4.0, far=20.0):
    depth = np.full(size, far)
    depth[:, :column] = near
    return depth


def test_edges():
    gt, valid = step(30), np.ones((40, 60), bool)
    same = edges(Maps(gt, gt, valid, K))
    assert (same["edge_accuracy"], same["edge_completeness"], same["directed_equal"]) == (0, 0, 1)
    moved = edges(Maps(gt, step(34), valid, K))
    truth, pred = (np.argwhere(canny(np.log(depth), sigma=1, mask=valid)) for depth in (gt, step(34)))
    distances = cdist(pred, truth)
    near = distances.min(1)[distances.min(1) < 10]
    assert moved["edge_accuracy"] == pytest.approx(near.mean())
    assert moved["edge_completeness"] == pytest.approx(distances.min(0).mean())
    # a second edge that the prediction lacks counts with its whole distance, 40 px
    two = np.concatenate([gt, step(30)], axis=1)
    half = np.concatenate([gt, np.full_like(gt, gt[0, -1])], axis=1)
    lacking = edges(Maps(two, half, np.ones(two.shape, bool), K))
    truth, pred = (np.argwhere(canny(np.log(depth), sigma=1)) for depth in (two, half))
    assert lacking["edge_completeness"] == pytest.approx(cdist(pred, truth).min(0).mean())
    assert lacking["edge_completeness"] > 10
    assert edges(Maps(gt, step(55), valid, K))["edge_completeness"] == 10  # no predicted edge within 10 px
    assert 3 < moved["edge_accuracy"] <= 4
    assert moved["directed_near"] == pytest.approx(4 / 60)
    assert moved["directed_far"] == 0
    assert edges(Maps(gt, np.full_like(gt, 5.0), valid, K))["edge_completeness"] == 10
    sparse = edges(Maps(gt, gt, GENERATOR.random(gt.shape) < 0.05, K))
    assert np.isnan(sparse["edge_accuracy"])


def brute_depth_pro(pred, gt):
    """Depth-Pro's F1 pixel by pixel."""
    thresholds, total = np.linspace(1.05, 1.25, 10), 0.0
    height, width = gt.shape
    for t in thresholds:
        precisions, recalls = [], []
        for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            hits = predicted = true = 0
            for y in range(height):
                for x in range(width):
                    if 0 <= y + dy < height and 0 <= x + dx < width:
                        p = (1 / pred[y + dy, x + dx]) / (1 / pred[y, x]) > t
                        g = (1 / gt[y + dy, x + dx]) / (1 / gt[y, x]) > t
                        hits, predicted, true = hits + (p and g), predicted + p, true + g
            precisions.append(hits / max(predicted, 1))
            recalls.append(hits / max(true, 1))
        p, r = np.mean(precisions), np.mean(recalls)
        total += t * (2 * p * r / (p + r) if p + r else 0)
    return total / thresholds.sum()


def brute_moge(pred, gt, radius):
    """MoGe's F1 pixel by pixel."""
    thresholds, total = np.linspace(0.05, 0.25, 10), 0.0
    height, width = gt.shape
    for t in thresholds:
        hits = predicted = true = 0
        for y in range(radius, height - radius):
            for x in range(radius, width - radius):
                for dy in range(-radius, radius + 1):
                    for dx in range(-radius, radius + 1):
                        if dy * dy + dx * dx <= radius * radius:
                            p = pred[y + dy, x + dx] / pred[y, x] > 1 + t
                            g = gt[y + dy, x + dx] / gt[y, x] > 1 + t
                            hits, predicted, true = hits + (p and g), predicted + p, true + g
        p, r = hits / max(predicted, 1), hits / max(true, 1)
        total += t * (2 * p * r / (p + r) if p + r else 0)
    return total / thresholds.sum()


def test_boundaries_are_those_of_their_papers():
    size = (10, 12)
    gt = GENERATOR.uniform(4, 6, size)
    seen = Maps(gt, gt * (1 + 0.1 * GENERATOR.normal(size=size)), np.ones(size, bool), K)
    found = boundary_depth_pro(seen)["boundary_f1_depth_pro"]
    assert 0 < found < 1
    assert found == pytest.approx(brute_depth_pro(seen.pred, gt))
    for radius in (1, 2, 3):
        assert boundary_moge(seen)[f"boundary_f1_moge@{radius}"] == pytest.approx(brute_moge(seen.pred, gt, radius))
    exact = Maps(gt, gt, seen.valid, K)
    assert boundary_depth_pro(exact)["boundary_f1_depth_pro"] == pytest.approx(1)
    assert boundary_moge(exact)["boundary_f1_moge@1"] == pytest.approx(1)


def test_regions():
    gt = np.repeat([[10.0], [30.0], [50.0]], 6, axis=1)
    pred = gt * [[1.1], [1.2], [1.3]]
    found = regions(Maps(gt, pred, np.ones(gt.shape, bool), K))
    for name, value in (("0-20m", 0.1), ("20-40m", 0.2), ("40-80m", 0.3), ("upper", 0.1), ("lower", 0.3)):
        assert found[f"abs_rel[{name}]"] == pytest.approx(value)
    wall = step(30)
    error = 1 + GENERATOR.uniform(0, 0.3, wall.shape)
    found = regions(Maps(wall, wall * error, np.ones(wall.shape, bool), K))
    edge = np.argwhere(canny(np.log(wall), sigma=1, mask=np.ones(wall.shape, bool)))
    near = cdist(np.argwhere(np.ones(wall.shape)), edge).min(1).reshape(wall.shape) < 5
    assert found["abs_rel[at_edges]"] == pytest.approx((error - 1)[near].mean())
    assert found["abs_rel[off_edges]"] == pytest.approx((error - 1)[~near].mean())
    nothing = regions(Maps(gt, pred, gt < 20, K))
    assert np.isnan(nothing["abs_rel[40-80m]"])
    assert nothing["abs_rel[0-20m]"] == pytest.approx(0.1)


def test_f_score_of_a_kitti_image_takes_less_than_a_fifth_of_a_second():
    rows, columns = np.mgrid[0:375, 0:1242]
    gt = np.where(rows > 180, 600 / np.maximum(rows - 170, 10), 40 + 20 * np.sin(columns / 60))
    valid = GENERATOR.random(gt.shape) < 0.045  # about the share of valid pixels under Garg's crop
    kitti_K = np.array([[720.0, 0, 620], [0, 720, 187], [0, 0, 1]])
    seen = Maps(gt, gt * (1 + 0.05 * np.sin(columns / 90)), valid, kitti_K)
    times = []
    for _ in range(3):
        start = time.process_time()
        point_cloud(seen)
        times.append(time.process_time() - start)
    assert min(times) < 0.2


def test_temporal_alignment_error():
    plane, camera = np.full((20, 30), 10.0), np.eye(4)
    forward = np.eye(4)
    forward[2, 3] = 1.0  # the second camera is a metre nearer to the plane
    moved = project_depth(plane, K, np.linalg.inv(forward))
    assert set(np.unique(moved)) == {0.0, 9.0}
    first = TimedDepth(plane, camera, K)
    assert temporal_alignment_error([first, TimedDepth(plane - 1, forward, K)]) == pytest.approx(0)
    wrong = temporal_alignment_error([first, TimedDepth(plane, forward, K)])
    assert wrong == pytest.approx(100 * (1 / 10 + 1 / 10) / 2)
    with pytest.raises(MdtkError, match="at least two frames"):
        temporal_alignment_error([first])


def test_asked_for_on_the_command_line(tiny_recipe, tmp_path, capsys):
    path = tmp_path / "wall.py"
    path.write_text(
        "import numpy as np\nclass Wall:\n    gives = 'depth'\n    input_size = (48, 64)\n"
        "    def predict(self, images): return 4.0 * np.ones(images.shape[:3])\n"
    )
    options = ("--config", tiny_recipe, "--output", tmp_path, "--no_baselines", "EVAL.ALIGNMENT", "none")
    assert [*MAP_METRICS, TAE] == list(LISTED)
    call_tool("evaluate", "--predictor", f"{path}:Wall", "--map_metrics", *MAP_METRICS, *options)
    found = json.loads((tmp_path / "sequence.json").read_text())["results"]["model"]["metrics"]
    share = 40 * 30 / (96 * 128)  # a box at two metres before the wall at four
    assert found["abs_rel[0-20m]"] == pytest.approx(share)
    assert found["abs_rel[40-80m]"] is None
    assert found["edge_completeness"] == 10
    assert found["f_score@0.1"] == pytest.approx(100 * 2 * (1 - share) / (2 - share), rel=0.1)
