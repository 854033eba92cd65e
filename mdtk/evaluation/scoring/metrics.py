"""Depth metrics: two 1-D arrays of the valid pixels of one image → one float each.

`gt` and `pred` are positive depths in metres, of one shape (N,), N > 0. The first seven are of Eigen et al., "Depth map
prediction from a single image using a multi-scale deep network" (2014); iRMSE and SILog of the KITTI depth server.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mdtk.core.errors import MdtkError


def abs_rel(gt: np.ndarray, pred: np.ndarray) -> float:
    """mean |g − p| / g."""
    return float(np.mean(np.abs(gt - pred) / gt))


def sq_rel(gt: np.ndarray, pred: np.ndarray) -> float:
    """mean (g − p)² / g, metres."""
    return float(np.mean((gt - pred) ** 2 / gt))


def rmse(gt: np.ndarray, pred: np.ndarray) -> float:
    """√ mean (g − p)², metres."""
    return float(np.sqrt(np.mean((gt - pred) ** 2)))


def rmse_log(gt: np.ndarray, pred: np.ndarray) -> float:
    """√ mean (ln g − ln p)²: the natural logarithm (KITTI, NYUv2, Cityscapes tables)."""
    return float(np.sqrt(np.mean((np.log(gt) - np.log(pred)) ** 2)))


def rmse_log10(gt: np.ndarray, pred: np.ndarray) -> float:
    """√ mean (log₁₀ g − log₁₀ p)²: what Make3D tables print under the name "RMSE log"."""
    return float(np.sqrt(np.mean((np.log10(gt) - np.log10(pred)) ** 2)))


def log10(gt: np.ndarray, pred: np.ndarray) -> float:
    """mean |log₁₀ g − log₁₀ p|."""
    return float(np.mean(np.abs(np.log10(gt) - np.log10(pred))))


def _share_within(gt: np.ndarray, pred: np.ndarray, bound: float) -> float:
    return float(np.mean(np.maximum(gt / pred, pred / gt) < bound))


def a1(gt: np.ndarray, pred: np.ndarray) -> float:
    """Share of pixels with max(g/p, p/g) < 1.25."""
    return _share_within(gt, pred, 1.25)


def a2(gt: np.ndarray, pred: np.ndarray) -> float:
    """Share of pixels with max(g/p, p/g) < 1.25²."""
    return _share_within(gt, pred, 1.25**2)


def a3(gt: np.ndarray, pred: np.ndarray) -> float:
    """Share of pixels with max(g/p, p/g) < 1.25³."""
    return _share_within(gt, pred, 1.25**3)


def silog(gt: np.ndarray, pred: np.ndarray) -> float:
    """100 √ var(ln p − ln g): the KITTI depth server's scale-invariant error."""
    return float(100 * np.std(np.log(pred) - np.log(gt)))


def irmse(gt: np.ndarray, pred: np.ndarray) -> float:
    """√ mean (1/g − 1/p)², in 1/km."""
    return float(1000 * np.sqrt(np.mean((1 / gt - 1 / pred) ** 2)))


def mae(gt: np.ndarray, pred: np.ndarray) -> float:
    """mean |g − p|, metres."""
    return float(np.mean(np.abs(gt - pred)))


@dataclass(frozen=True)
class Metric:
    """A metric with what a reader of a table needs: unit, and whether more is better."""

    function: Callable[[np.ndarray, np.ndarray], float]
    unit: str
    higher_is_better: bool = False

    @property
    def words(self) -> str:
        """The definition, from the function's docstring."""
        return (self.function.__doc__ or "").strip().split("\n")[0]


METRICS: dict[str, Metric] = {
    "abs_rel": Metric(abs_rel, ""),
    "sq_rel": Metric(sq_rel, "m"),
    "rmse": Metric(rmse, "m"),
    "rmse_log": Metric(rmse_log, "ln"),
    "rmse_log10": Metric(rmse_log10, "log10"),
    "log10": Metric(log10, "log10"),
    "a1": Metric(a1, "", higher_is_better=True),
    "a2": Metric(a2, "", higher_is_better=True),
    "a3": Metric(a3, "", higher_is_better=True),
    "silog": Metric(silog, "100 ln"),
    "irmse": Metric(irmse, "1/km"),
    "mae": Metric(mae, "m"),
}

SEVEN = ("abs_rel", "sq_rel", "rmse", "rmse_log", "a1", "a2", "a3")
FURTHER = ("log10", "silog", "irmse", "mae")  # computed beside each protocol's published list


def compute_metrics(gt: np.ndarray, pred: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """The named metrics, in the order of `names`, in double precision."""
    if unknown := [name for name in names if name not in METRICS]:
        raise MdtkError(f"unknown metric {unknown[0]}; there are {', '.join(METRICS)}")
    gt, pred = np.asarray(gt, np.float64), np.asarray(pred, np.float64)
    if gt.ndim != 1 or gt.shape != pred.shape or gt.size == 0:
        raise ValueError(f"metrics take two 1-D arrays of one size > 0, not {gt.shape} and {pred.shape}")
    return {name: METRICS[name].function(gt, pred) for name in names}
