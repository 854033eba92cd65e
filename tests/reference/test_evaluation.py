"""Rows of the published evaluators: `evaluation.npz`. Values are float32 in the published code: 1e-5 is relative."""

from __future__ import annotations

import numpy as np
import pytest

from mdtk.evaluation.io.submission import submission_png
from mdtk.evaluation.odometry.trajectories import snippet_ates
from mdtk.evaluation.scoring.evaluator import evaluate
from mdtk.evaluation.scoring.protocols import KITTI_BENCHMARK, PROTOCOLS
from mdtk.evaluation.scoring.score import ScaleMode
from mdtk.inference.post_process import blend_flipped

STEREO = ScaleMode("none", 5.4)
CASES = [  # protocol, prefix of the data, expected rows, scale
    ("kitti_eigen", "kitti", "kitti/monodepth2/eigen_mono", ScaleMode()),
    ("kitti_eigen/monodepth2", "kitti", "kitti/monodepth2/eigen_stereo", STEREO),
    ("kitti_eigen_benchmark", "kitti", "kitti/monodepth2/eigen_benchmark_mono", ScaleMode()),
    ("kitti_eigen_benchmark/monodepth2", "kitti", "kitti/monodepth2/eigen_benchmark_stereo", STEREO),
    ("kitti_eigen/bdedepth", "kitti", "kitti/bdedepth/eigen_mono", ScaleMode()),
    ("kitti_eigen_benchmark/bdedepth", "kitti", "kitti/bdedepth/eigen_benchmark_mono", ScaleMode()),
    ("make3d/bdedepth", "make3d", "make3d/bdedepth", ScaleMode()),
    ("nyuv2/bdedepth", "nyuv2", "nyuv2/bdedepth", ScaleMode()),
    ("cityscapes/bdedepth", "cityscapes", "cityscapes/bdedepth", ScaleMode()),
]


@pytest.fixture(scope="module")
def data(reference):
    return reference.npz("evaluation")


def ground_truths(data, prefix):
    if f"{prefix}/gt" in data:
        return list(data[f"{prefix}/gt"])
    return [data[f"{prefix}/gt{i}"] for i in range(len(data[f"{prefix}/pred_disp"]))]


@pytest.mark.parametrize(("key", "prefix", "expected", "scale"), CASES, ids=[case[2] for case in CASES])
def test_rows(data, key, prefix, expected, scale):
    protocol = PROTOCOLS[key]
    depths = ground_truths(data, prefix)
    predictions = {str(i): disparity for i, disparity in enumerate(data[f"{prefix}/pred_disp"])}
    ground_truth = [(i, str(i), depth) for i, depth in enumerate(depths)]
    evaluation = evaluate(protocol, predictions, ground_truth, scale)
    rows = [[row.metrics[metric] for metric in protocol.metrics] for row in evaluation.rows]
    np.testing.assert_allclose(rows, data[expected], rtol=1e-5, atol=1e-5)


def test_post_process(data):
    prefix = "post_process/"
    blended = blend_flipped(data[prefix + "disp"], data[prefix + "disp_of_flipped_input_flipped_back"])
    np.testing.assert_allclose(blended, data[prefix + "out"], rtol=0, atol=1e-5)


def test_benchmark_png(data):
    ours = data.at("kitti/benchmark_png0", submission_png(KITTI_BENCHMARK, data["kitti/pred_disp"][0]))
    np.testing.assert_array_equal(ours, data["kitti/benchmark_png0"])


def test_odometry(data):
    ates = snippet_ates(data["odometry/gt_global_poses"], data["odometry/pred_local_poses"])
    np.testing.assert_allclose(ates, data["odometry/ates"], rtol=0, atol=1e-6)
    np.testing.assert_allclose([ates.mean(), ates.std()], data["odometry/mean_std"], rtol=0, atol=1e-6)
