"""Odometry errors: zero for the truth, what they must ignore, and what they must see."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mdtk.core.errors import MdtkError
from mdtk.evaluation.odometry import trajectories as odometry
from mdtk.evaluation.odometry.sequences import STRAIGHT, evaluate_sequence, measure, straight_motions
from mdtk.evaluation.odometry.trajectory_plot import grid_step, plot_trajectories


@pytest.fixture(scope="module")
def truth():
    """A winding drive of 400 frames, about 1 m a frame: world_T_camera."""
    generator = np.random.default_rng(1)
    steps = np.tile(np.eye(4), (399, 1, 1))
    angles = np.cumsum(generator.normal(0, 0.004, 399)) + 0.01
    steps[:, :3, :3] = Rotation.from_rotvec(np.stack([0 * angles, angles, 0 * angles], 1)).as_matrix()
    steps[:, 2, 3] = generator.uniform(0.8, 1.2, 399)
    poses = [np.eye(4)]
    for step in steps:
        poses.append(poses[-1] @ step)
    return np.stack(poses)


def test_motions_and_accumulation_are_inverse(truth):
    moved = np.linalg.inv(truth[:1]) @ truth
    np.testing.assert_allclose(odometry.accumulate(odometry.motions(truth)), moved, atol=1e-9)


def test_true_motions_have_no_error(truth):
    errors, aligned = measure("x", truth, odometry.motions(truth))
    assert errors.ate < 1e-6
    assert errors.snippet_mean < 1e-9
    assert errors.t_err < 1e-6
    assert errors.r_err < 1e-4
    assert errors.segments > 50
    np.testing.assert_allclose(aligned, truth, atol=1e-6)


def test_scale_does_not_matter(truth):
    motions = odometry.motions(truth)
    motions[:, :3, 3] /= 20
    errors, _ = measure("x", truth, motions)
    assert errors.scale == pytest.approx(20)
    assert max(errors.ate, errors.snippet_mean, errors.t_err) < 1e-6


def test_drift_is_measured(truth):
    """A constant extra turn of 0.1 degrees a frame (about 1 m) is 10 degrees in 100 m."""
    motions = odometry.motions(truth)
    motions[:, :3, :3] = Rotation.from_euler("y", -0.1, degrees=True).as_matrix() @ motions[:, :3, :3]
    path = odometry.accumulate(motions)
    errors = odometry.segment_errors(truth, path)
    metres = odometry.travelled(truth)[-1] / (len(truth) - 1)
    assert errors.r_err == pytest.approx(10 / metres, rel=0.02)
    assert errors.t_err > 1
    assert odometry.segment_errors(truth[:50], path[:50]).segments == 0


def test_umeyama_recovers_a_similarity():
    generator = np.random.default_rng(2)
    points, rotation = generator.normal(size=(30, 3)), Rotation.random(rng=3).as_matrix()
    found = odometry.umeyama(points, 2.5 * points @ rotation.T + [1, 2, 3])
    assert found.scale == pytest.approx(2.5)
    np.testing.assert_allclose(found.rotation, rotation, atol=1e-12)
    np.testing.assert_allclose(found.translation, [1, 2, 3], atol=1e-12)
    mirrored = odometry.umeyama(points, points * [1, 1, -1])
    assert np.linalg.det(mirrored.rotation) == pytest.approx(1)


def test_snippet_of_a_known_error():
    """Five points on a line; the prediction leaves it by 1 at the last: by hand, s = 30/31."""
    gt = np.stack([np.arange(5.0), np.zeros(5), np.zeros(5)], 1)
    pred = gt.copy()
    pred[-1, 1] = 1
    scale = 30 / 31
    expected = np.sqrt(np.sum((scale * gt - gt) ** 2) + scale**2) / 5
    assert odometry.snippet_error(gt, pred) == pytest.approx(expected)
    assert odometry.snippet_error(gt, pred + 7) == pytest.approx(expected)


def test_wrong_counts_and_standing_still(truth):
    with pytest.raises(MdtkError, match="10 predicted motions do not fit 400"):
        odometry.snippet_ates(truth, np.tile(np.eye(4), (10, 1, 1)))
    with pytest.raises(MdtkError, match="does not move"):
        measure("x", truth, np.tile(np.eye(4), (399, 1, 1)))


def test_straight_ahead_goes_forward():
    path = odometry.accumulate(straight_motions(4))
    np.testing.assert_array_equal(path[:, :3, 3], [[0, 0, i] for i in range(5)])


def test_files_of_a_sequence(truth, tmp_path):
    model, baseline = evaluate_sequence("09", truth, odometry.motions(truth), tmp_path)
    assert baseline.predictor == STRAIGHT
    assert baseline.ate > model.ate
    poses = np.loadtxt(tmp_path / "09_poses.txt").reshape(-1, 3, 4)
    np.testing.assert_allclose(poses, truth[:, :3], atol=1e-4)
    assert np.load(tmp_path / "09_motions.npy").shape == (399, 4, 4)
    assert (tmp_path / "09.png").stat().st_size > 5000


def test_plot_shows_both_paths(truth):
    other = truth.copy()
    other[:, 0, 3] += 30
    picture = plot_trajectories({"ground truth": truth, "model": other}, "title")
    assert (picture == (200, 60, 40)).all(-1).sum() > 300
    assert (picture == (170, 170, 170)).all(-1).sum() > 300
    assert (grid_step(100.0), grid_step(45.0), grid_step(3.0)) == (20.0, 10.0, 0.5)
