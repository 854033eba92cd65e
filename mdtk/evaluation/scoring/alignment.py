"""How a prediction of unknown scale is brought to the ground truth's: by name, on the valid pixels of one image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ALIGNMENTS: dict[str, str] = {
    "none": "predicted depth is taken as metres",
    "median": "each image's depth is multiplied by median(ground truth) / median(prediction) over its valid pixels",
    "global_median": "all images' depth is multiplied by one factor, the median over images of "
    "median(ground truth) / median(prediction)",
    "scale": "each image's depth is multiplied by the factor of least squares, Σ g p / Σ p²",
    "scale_shift": "each image's disparity gets the scale and shift of least squares against 1 / ground truth",
}


@dataclass(frozen=True)
class Aligned:
    """Depth after alignment. `shift` is in disparity (1/m); depth is inf where shifted disparity is not positive."""

    depth: np.ndarray
    scale: float
    shift: float = 0.0


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


def least_squares_scale_shift(gt: np.ndarray, pred: np.ndarray) -> tuple[float, float]:
    """(s, t) that minimise Σ (1/g − s/p − t)² (Ranftl et al., MiDaS); of several solutions the one of minimum norm."""
    system = np.stack([1 / pred, np.ones_like(pred)], axis=1)
    solution = np.linalg.lstsq(system, 1 / gt, rcond=None)[0]
    return float(solution[0]), float(solution[1])


def align(gt: np.ndarray, pred: np.ndarray, name: str, kind: str, global_ratio: float = 1.0) -> Aligned:
    """Aligns `pred` to `gt`, both depth (N,) in float64. `kind` is of `median`; `global_ratio` serves global_median."""
    if name == "scale_shift":
        scale, shift = least_squares_scale_shift(gt, pred)
        disparity = scale / pred + shift
        depth = np.full_like(pred, np.inf)
        np.divide(1.0, disparity, out=depth, where=disparity > 0)
        return Aligned(depth, scale, shift)
    factors = {
        "none": lambda: 1.0,
        "median": lambda: median_ratio(gt, pred, kind),
        "global_median": lambda: global_ratio,
        "scale": lambda: least_squares_scale(gt, pred),
    }
    scale = factors[name]()
    return Aligned(pred * scale, scale)
