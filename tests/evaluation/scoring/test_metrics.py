"""Metrics against values worked out by hand, and what they must not change under."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mdtk.core.errors import MdtkError
from mdtk.evaluation.scoring.metrics import METRICS, SEVEN, compute_metrics, metric, metrics_of

GT = np.array([2.0, 4.0, 10.0])
PRED = np.array([1.0, 5.0, 10.0])
LOGS = np.log(GT) - np.log(PRED)
EXPECTED = {
    "abs_rel": (0.5 + 0.25 + 0) / 3,
    "sq_rel": (0.5 + 0.25 + 0) / 3,
    "rmse": math.sqrt(2 / 3),
    "rmse_log": math.sqrt((math.log(2) ** 2 + math.log(1.25) ** 2) / 3),
    "rmse_log10": math.sqrt((math.log10(2) ** 2 + math.log10(1.25) ** 2) / 3),
    "log10": (math.log10(2) + math.log10(1.25)) / 3,
    "a1": 1 / 3,  # 5 / 4 is exactly 1.25, and the bound is strict
    "a2": 2 / 3,
    "a3": 2 / 3,
    "silog": 100 * math.sqrt(np.mean(LOGS**2) - np.mean(LOGS) ** 2),
    "irmse": 1000 * math.sqrt((0.5**2 + 0.05**2) / 3),
    "mae": 2 / 3,
}


@pytest.mark.parametrize("name", METRICS)
def test_value(name):
    assert compute_metrics(GT, PRED, [name])[name] == pytest.approx(EXPECTED[name], rel=1e-12)


def test_perfect_prediction():
    values = compute_metrics(GT, GT, list(METRICS))
    assert all(value == (1.0 if METRICS[name].higher_is_better else 0.0) for name, value in values.items())


def test_silog_ignores_scale_and_the_two_logs_differ():
    values = compute_metrics(GT, 3 * PRED, ["silog", "rmse_log", "rmse_log10"])
    assert values["silog"] == pytest.approx(EXPECTED["silog"])
    assert values["rmse_log"] == pytest.approx(values["rmse_log10"] * math.log(10))


def test_float32_input_is_measured_in_double_precision():
    generator = np.random.default_rng(0)
    gt = generator.uniform(1, 80, 200_000).astype(np.float32)
    pred = (gt * generator.uniform(0.9, 1.1, gt.size)).astype(np.float32)
    exact = math.fsum((gt.astype(float) - pred.astype(float)) ** 2 / gt.astype(float)) / gt.size
    assert compute_metrics(gt, pred, ["sq_rel"])["sq_rel"] == pytest.approx(exact, rel=1e-12)


def test_wrong_input():
    with pytest.raises(MdtkError, match=r"names the metric 'delta1', and there is none .*: choose one of abs_rel"):
        compute_metrics(GT, PRED, ["delta1"])
    for gt, pred in ((GT, PRED[:2]), (GT[:0], PRED[:0]), (GT[None], PRED[None])):
        with pytest.raises(ValueError, match="1-D arrays"):
            compute_metrics(gt, pred, ["rmse"])


def test_a_metric_of_ones_own_stands_beside_every_protocols_list():
    assert metrics_of(SEVEN) == (*SEVEN, "log10", "silog", "irmse", "mae")
    try:

        @metric("farthest", "m")
        def farthest(gt, pred):
            """The largest predicted depth.

            More text."""
            return float(pred.max())

        assert metrics_of(SEVEN)[-1] == "farthest"
        assert compute_metrics(GT, PRED, ["farthest"]) == {"farthest": 10.0}
        assert METRICS["farthest"].description == "The largest predicted depth."
    finally:
        METRICS._entries.pop("farthest", None)
