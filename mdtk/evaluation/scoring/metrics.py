"""Depth metrics: two 1-D arrays of the valid pixels of one image → one float each.

`gt` and `pred` are positive depths in metres, of one shape (N,), N > 0. The first seven are of Eigen et al., "Depth map
prediction from a single image using a multi-scale deep network" (2014); iRMSE and SILog of the KITTI depth server.
A metric of another package is a function of the same form under `@metric(…)`, registered when its module is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mdtk.core.registry import Registry

MetricFunction = Callable[[np.ndarray, np.ndarray], float]  # (gt, pred) → the value of one image


@dataclass(frozen=True)
class Metric:
    """A metric with what a reader of a table needs: its unit, and whether more is better."""

    function: MetricFunction
    unit: str = ""
    higher_is_better: bool = False
    everywhere: bool = True  # computed under every protocol, beside those that the protocol lists

    @property
    def description(self) -> str:
        """The definition, which is the first line of the function's docstring."""
        return (self.function.__doc__ or "").strip().split("\n")[0]


METRICS: Registry[Metric] = Registry("metric")


def metric(
    name: str, unit: str = "", *, higher_is_better: bool = False, everywhere: bool = True
) -> Callable[[MetricFunction], MetricFunction]:
    """A decorator that registers a function as the metric `name`, the column of tables; see `Metric`."""

    def keep(function: MetricFunction) -> MetricFunction:
        METRICS.register(name)(Metric(function, unit, higher_is_better, everywhere))
        return function

    return keep


@metric("abs_rel", everywhere=False)
def abs_rel(gt: np.ndarray, pred: np.ndarray) -> float:
    """mean |g − p| / g."""
    return float(np.mean(np.abs(gt - pred) / gt))


@metric("sq_rel", "m", everywhere=False)
def sq_rel(gt: np.ndarray, pred: np.ndarray) -> float:
    """mean (g − p)² / g, metres."""
    return float(np.mean((gt - pred) ** 2 / gt))


@metric("rmse", "m", everywhere=False)
def rmse(gt: np.ndarray, pred: np.ndarray) -> float:
    """√ mean (g − p)², metres."""
    return float(np.sqrt(np.mean((gt - pred) ** 2)))


@metric("rmse_log", "ln", everywhere=False)
def rmse_log(gt: np.ndarray, pred: np.ndarray) -> float:
    """√ mean (ln g − ln p)²: the natural logarithm (KITTI, NYUv2, Cityscapes tables)."""
    return float(np.sqrt(np.mean((np.log(gt) - np.log(pred)) ** 2)))


@metric("rmse_log10", "log10", everywhere=False)
def rmse_log10(gt: np.ndarray, pred: np.ndarray) -> float:
    """√ mean (log₁₀ g − log₁₀ p)²: what Make3D tables print under the name "RMSE log"."""
    return float(np.sqrt(np.mean((np.log10(gt) - np.log10(pred)) ** 2)))


@metric("log10", "log10")
def log10(gt: np.ndarray, pred: np.ndarray) -> float:
    """mean |log₁₀ g − log₁₀ p|."""
    return float(np.mean(np.abs(np.log10(gt) - np.log10(pred))))


def _share_within(gt: np.ndarray, pred: np.ndarray, bound: float) -> float:
    return float(np.mean(np.maximum(gt / pred, pred / gt) < bound))


@metric("a1", higher_is_better=True, everywhere=False)
def a1(gt: np.ndarray, pred: np.ndarray) -> float:
    """Share of pixels with max(g/p, p/g) < 1.25."""
    return _share_within(gt, pred, 1.25)


@metric("a2", higher_is_better=True, everywhere=False)
def a2(gt: np.ndarray, pred: np.ndarray) -> float:
    """Share of pixels with max(g/p, p/g) < 1.25²."""
    return _share_within(gt, pred, 1.25**2)


@metric("a3", higher_is_better=True, everywhere=False)
def a3(gt: np.ndarray, pred: np.ndarray) -> float:
    """Share of pixels with max(g/p, p/g) < 1.25³."""
    return _share_within(gt, pred, 1.25**3)


@metric("silog", "100 ln")
def silog(gt: np.ndarray, pred: np.ndarray) -> float:
    """100 √ var(ln p − ln g): the KITTI depth server's scale-invariant error."""
    return float(100 * np.std(np.log(pred) - np.log(gt)))


@metric("irmse", "1/km")
def irmse(gt: np.ndarray, pred: np.ndarray) -> float:
    """√ mean (1/g − 1/p)², in 1/km."""
    return float(1000 * np.sqrt(np.mean((1 / gt - 1 / pred) ** 2)))


@metric("mae", "m")
def mae(gt: np.ndarray, pred: np.ndarray) -> float:
    """mean |g − p|, metres."""
    return float(np.mean(np.abs(gt - pred)))


SEVEN = ("abs_rel", "sq_rel", "rmse", "rmse_log", "a1", "a2", "a3")


def metrics_of(listed: Sequence[str]) -> tuple[str, ...]:
    """The metrics under a protocol that lists `listed`: these, then those that are computed everywhere."""
    return (*listed, *(name for name, one in METRICS.items() if one.everywhere and name not in listed))


def compute_metrics(gt: np.ndarray, pred: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """The named metrics, in the order of `names`, in double precision."""
    found = [METRICS.find(name, "a protocol") for name in names]
    gt, pred = np.asarray(gt, np.float64), np.asarray(pred, np.float64)
    if gt.ndim != 1 or gt.shape != pred.shape or gt.size == 0:
        raise ValueError(f"metrics take two 1-D arrays of one size > 0, not {gt.shape} and {pred.shape}")
    return {name: one.function(gt, pred) for name, one in zip(names, found, strict=True)}
