"""Scale and shift of a prediction by named fits: closed forms on arrays (N,) float64, x the prediction, y the truth.

A fit gives (s, t) for s·x + t ≈ y. Where one fit serves several images, each image gives a summary of a few numbers and
`combine` solves for all of them, so that no pixels are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Solution = tuple[float, float]  # (scale, shift)
Summary = tuple[float, ...]
SINGULAR = 1e-12  # a determinant below this part of its first product is rounding


def median(values: np.ndarray, kind: str) -> float:
    """The median of a 1-D array. `kind` "numpy": mean of the two middle values; "torch": the lower of them."""
    if kind == "numpy":
        return float(np.median(values))
    middle = (values.size - 1) // 2
    return float(np.partition(values, middle)[middle])


def median_ratio(gt: np.ndarray, pred: np.ndarray, kind: str) -> float:
    """median(gt) / median(pred)."""
    return median(gt, kind) / median(pred, kind)


def least_squares_scale(gt: np.ndarray, pred: np.ndarray) -> float:
    """The s that minimises Σ (g − s p)²."""
    return float(np.dot(gt, pred) / np.dot(pred, pred))


def least_squares(y: np.ndarray, x: np.ndarray) -> Solution:
    """(s, t) that minimise Σ (y − s x − t)²; of several solutions the one of minimum norm, as numpy.linalg.lstsq."""
    system = np.stack([x, np.ones_like(x)], axis=1)
    solution = np.linalg.lstsq(system, y, rcond=None)[0]
    return float(solution[0]), float(solution[1])


def moments(y: np.ndarray, x: np.ndarray) -> Summary:
    """(Σ x², Σ x, N, Σ x y, Σ y): what least squares needs of an image."""
    return float(np.dot(x, x)), float(x.sum()), float(x.size), float(np.dot(x, y)), float(y.sum())


def normal_equations(summed: Summary) -> Solution:
    """(s, t) of least squares from summed `moments`; (0, 0) where the determinant is not positive, as MiDaS has it."""
    xx, x, n, xy, y = summed
    determinant = xx * n - x * x
    if determinant <= SINGULAR * xx * n:
        return 0.0, 0.0
    return (n * xy - x * y) / determinant, (xx * y - x * xy) / determinant


def weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """The m that minimises Σ w |v − m|: the first value at which half of the weight is reached."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])


def robust_scale(y: np.ndarray, x: np.ndarray, weights: np.ndarray) -> float:
    """The s that minimises Σ w |y − s x|, for x ≠ 0: the median of y / x weighted by w |x|."""
    used = x != 0
    return weighted_median(y[used] / x[used], weights[used] * np.abs(x[used]))


def robust_line(y: np.ndarray, x: np.ndarray, weights: np.ndarray, steps: int = 80) -> Solution:
    """(s, t) that minimise Σ w |y − s x − t|.

    The minimum over t at a given s is a weighted median, and what is left is convex in s: golden-section search between
    slopes that bracket it. Outliers put the first slope anywhere, so it is moved until the loss rises on both sides.
    """

    def loss(scale: float) -> tuple[float, float]:
        rest = y - scale * x
        shift = weighted_median(rest, weights)
        return float(np.dot(weights, np.abs(rest - shift))), shift

    width = max(float(np.ptp(x)), 1e-12)
    low, high = -float(np.ptp(y)) / width, float(np.ptp(y)) / width
    start = least_squares(y, x)[0]
    reach = max(high - low, abs(start), 1e-12)
    low, high = _bracket(lambda scale: loss(scale)[0], start, reach)
    ratio = (np.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    loss_left, loss_right = loss(left)[0], loss(right)[0]
    for _ in range(steps):
        if loss_left <= loss_right:
            high, right, loss_right = right, left, loss_left
            left = high - ratio * (high - low)
            loss_left = loss(left)[0]
        else:
            low, left, loss_left = left, right, loss_right
            right = low + ratio * (high - low)
            loss_right = loss(right)[0]
    scale = float((low + high) / 2)
    return scale, loss(scale)[1]


def _bracket(loss: Callable[[float], float], middle: float, reach: float) -> tuple[float, float]:
    """An interval that holds the minimum of a convex function: it is nowhere less at the ends than within."""
    low, high = middle - reach, middle + reach
    lowest, left, right = loss(middle), loss(low), loss(high)
    for _ in range(200):
        if right < lowest:
            low, middle, high = middle, high, high + 2 * (high - middle)
            left, lowest, right = lowest, right, loss(high)
        elif left < lowest:
            low, middle, high = low - 2 * (middle - low), low, middle
            left, lowest, right = loss(low), left, lowest
        else:
            break
    return low, high


@dataclass(frozen=True)
class Fit:
    """A way of fitting: of one image, and of several from a summary of each (None: only images one by one)."""

    meaning: str
    shifts: bool  # whether a shift is fitted as well
    image: Callable[[np.ndarray, np.ndarray, str], Solution]  # (y, x, kind of median) → (scale, shift)
    summary: Callable[[np.ndarray, np.ndarray, str], Summary] | None = None
    combine: Callable[[Sequence[Summary], str], Solution] | None = None


def _summed(summaries: Sequence[Summary], kind: str) -> Solution:
    return normal_equations(tuple(np.sum(np.array(summaries), axis=0)))


def _summed_scale(summaries: Sequence[Summary], kind: str) -> Solution:
    total = np.sum(np.array(summaries), axis=0)
    return float(total[3] / total[0]), 0.0


def _mean_shift(summaries: Sequence[Summary], kind: str) -> Solution:
    total = np.sum(np.array(summaries), axis=0)
    return 1.0, float((total[4] - total[1]) / total[2])


def _moments(y: np.ndarray, x: np.ndarray, kind: str) -> Summary:
    return moments(y, x)


FITS: dict[str, Fit] = {
    "none": Fit("nothing is fitted", False, lambda y, x, kind: (1.0, 0.0)),
    "median": Fit(
        "scale median(truth) / median(prediction); over several images the median of these ratios",
        False,
        lambda y, x, kind: (median_ratio(y, x, kind), 0.0),
        lambda y, x, kind: (median_ratio(y, x, kind),),
        lambda ratios, kind: (median(np.array(ratios)[:, 0], kind), 0.0),
    ),
    "least_squares_scale": Fit(
        "scale of least squares", False, lambda y, x, kind: (least_squares_scale(y, x), 0.0), _moments, _summed_scale
    ),
    "least_squares": Fit(
        "scale and shift of least squares, of minimum norm",
        True,
        lambda y, x, kind: least_squares(y, x),
        _moments,
        _summed,
    ),
    "normal_equations": Fit(
        "scale and shift of least squares by the normal equations, both 0 where their determinant is not positive",
        True,
        lambda y, x, kind: normal_equations(moments(y, x)),
        _moments,
        _summed,
    ),
    "mean_shift": Fit(
        "shift of least squares, mean(truth − prediction)",
        False,
        lambda y, x, kind: (1.0, float(np.mean(y - x))),
        _moments,
        _mean_shift,
    ),
    "robust_scale": Fit(
        "scale that minimises Σ |truth − s · prediction| / truth",
        False,
        lambda y, x, kind: (robust_scale(y, x, 1 / y), 0.0),
    ),
    "robust_line": Fit(
        "scale and shift that minimise Σ |truth − s · prediction − t| / truth",
        True,
        lambda y, x, kind: robust_line(y, x, 1 / y),
    ),
}
